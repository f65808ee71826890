truth
load_and_unload leaked
load leaker recs_per_round=1 pages_per_round=4
reports
echo 1 > /proc/sys/vm/panic_on_oom
echo -1 > /sys/module/leaker/parameters/run
