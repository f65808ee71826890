truth
load history
cd /sys/module/history/parameters
for i in 1 2 3 4 5 6 7 8; do
    unshare -n true
    (exec 3< /dev/null; echo 3 > file)
    : | (echo 0 > name)
done
[ -e /proc/self/ns/net ] && unshare -n sh -c 'echo 1 > net'
cd /
load reach
load_and_unload leaked
judge_leaks
reports
echo 1 > /sys/module/labtruth/parameters/crash
