echo 10000 > /proc/sys/net/unix/max_dgram_qlen
culprit sockets 8
reports
user_reports
deliver
out_of_memory
