truth
load_and_unload leaked
in_cgroup insmod /lab/modules/labmod.ko

load leaker recs_per_round=1000 pages_per_round=4
echo 800 > /sys/module/leaker/parameters/run

# Files of three pages each, written without a new process, and then holes among their objects.
mkdir /files
mount -t tmpfs files /files
text=$(yes | head -c 10000)
for folder in $(seq 400); do
    mkdir /files/$folder
    for file in $(seq 100); do
        echo "$text" > /files/$folder/$file
    done
done
rm /files/*/*0

reports
echo 1 > /sys/module/labtruth/parameters/crash
