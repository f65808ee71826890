out_of_memory keyrings 8
