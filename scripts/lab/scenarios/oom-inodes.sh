mkdir /scratch
if grep -q ext2 /proc/filesystems && [ -e /dev/vda ]; then
    mke2fs -i 1024 /dev/vda
    mount -t ext2 -o noatime /dev/vda /scratch
else
    mount -t tmpfs -o size=0,nr_inodes=10000000 scratch /scratch
fi
out_of_memory watches 12 /scratch
