truth
# First, or its areas may lie where the stacks were that leaked's remains point to.
load reach
load_and_unload leaked
reports
# The truth tells more, and these dumps are committed.
rm -f $out/allocinfo.before
echo 1 > /sys/module/labtruth/parameters/crash
