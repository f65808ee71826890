out_of_memory maps 8
