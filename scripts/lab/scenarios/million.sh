truth
load_and_unload leaked
load many
reports
echo 1 > /sys/module/labtruth/parameters/crash
