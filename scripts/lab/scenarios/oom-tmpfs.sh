mkdir /scratch
mount -t tmpfs -o size=0,nr_inodes=0 scratch /scratch
out_of_memory tmpfs 8 /scratch
