mkdir /scratch
mount -t tmpfs -o size=0,nr_inodes=10000000 scratch /scratch
out_of_memory inodes 12 /scratch
