mkdir /scratch
mount -t tmpfs -o size=0,nr_inodes=0 scratch /scratch
culprit tmpfs 8 /scratch
reports
user_reports
deliver
out_of_memory
