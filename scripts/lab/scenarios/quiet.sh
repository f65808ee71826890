truth
load_and_unload leaked
in_cgroup insmod /lab/modules/labmod.ko
reports
echo 1 > /sys/module/labtruth/parameters/crash
