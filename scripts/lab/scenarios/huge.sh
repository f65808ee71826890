truth
load_and_unload leaked
load many in_table=3600000 in_list=400000 untouched_gib=60
reports
echo 1 > /sys/module/labtruth/parameters/crash
