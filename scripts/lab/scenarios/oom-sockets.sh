echo 10000 > /proc/sys/net/unix/max_dgram_qlen
out_of_memory sockets 8
