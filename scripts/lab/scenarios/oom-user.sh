truth
load_and_unload leaked
mkswap /dev/vda
swapon /dev/vda
mkdir /scratch
mount -t tmpfs scratch /scratch
head -c 3000000 /dev/zero > /scratch/file

group lab
eater lab
feed 40m
reports
user_reports
echo 1 > /proc/sys/vm/panic_on_oom
feed 1000m
