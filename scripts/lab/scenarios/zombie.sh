truth
load_and_unload leaked
# A parent that never waits: its children stay, as nothing but their exit status.
sh -c 'true & true & exec sleep 1000' &
sleep 2
reports
user_reports
echo 1 > /sys/module/labtruth/parameters/crash
