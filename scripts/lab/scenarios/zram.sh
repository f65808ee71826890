truth
load_and_unload leaked
echo 32M > /sys/block/zram0/disksize
mkswap /dev/zram0
swapon /dev/zram0

group lab 4m
eater lab
feed_text 20m
sleep 1
reports
user_reports
echo 1 > /sys/module/labtruth/parameters/crash
