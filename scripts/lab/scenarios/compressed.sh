truth
load_and_unload leaked
in_cgroup insmod /lab/modules/labmod.ko
echo 1 > /sys/module/labtruth/parameters/register_type
reports
echo 1 > /sys/module/labtruth/parameters/crash
