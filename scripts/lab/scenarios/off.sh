truth
load_and_unload leaked
echo 0 > /proc/sys/vm/mem_profiling
in_cgroup insmod /lab/modules/labmod.ko
reports
echo 1 > /sys/module/labtruth/parameters/crash
