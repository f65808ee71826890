out_of_memory task 8
