truth
load_and_unload leaked

group first 4m
eater first
feed 16m

group second 12m
eater second
feed 10m
reports
user_reports
echo 2 > /proc/sys/vm/panic_on_oom
feed 1000m
