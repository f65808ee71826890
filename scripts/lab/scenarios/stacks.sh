truth
# First, or its areas may lie where the stacks were that leaked's remains point to.
load reach
load_and_unload leaked
reports
rm -f $out/allocinfo.before
stack_reports
echo 1 > /sys/module/labtruth/parameters/crash
