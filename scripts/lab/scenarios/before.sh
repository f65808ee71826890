truth
load_and_unload leaked
load leaker recs_per_round=0 pages_per_round=4
echo 16 > /sys/module/leaker/parameters/run
reports
echo 1 > /sys/module/labtruth/parameters/crash
