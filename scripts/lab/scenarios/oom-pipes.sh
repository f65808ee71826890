out_of_memory pipes 8
