out_of_memory fragments 8
