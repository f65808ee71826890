truth
# KASAN prints of each object who allocated, and freed it: what quarantine keeps stays.
load touched
reports
rm -f $out/allocinfo.before
echo 1 > /sys/module/labtruth/parameters/crash
