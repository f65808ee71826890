truth
load_and_unload leaked
mkswap /dev/vda
swapon /dev/vda

group lab 4m
eater lab
feed_text 20m
sleep 1
reports
user_reports
echo 1 > /sys/module/labtruth/parameters/crash
