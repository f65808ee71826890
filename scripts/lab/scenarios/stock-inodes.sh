mkdir /scratch
mount -t tmpfs -o size=0,nr_inodes=10000000 scratch /scratch
culprit inodes 12 /scratch
reports
user_reports
deliver
out_of_memory
