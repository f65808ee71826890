truth
load charged

# Has the module allocate on a node, for a task in a control group; the last word is the group's
# path as it will be in the end.
charge() {
    run_in $1 sh -c "echo $2 $3 > /sys/module/charged/parameters/run"
}

mkdir /scratch
mount -t tmpfs none /scratch
group first
group second
group outer
echo +memory > /sys/fs/cgroup/outer/cgroup.subtree_control
mkdir /sys/fs/cgroup/outer/inner

charge first 0 /first
charge first 1 /first
charge second 1 /second
charge outer/inner 0 /outer
run_in first dd if=/dev/zero of=/scratch/first bs=4k count=64
run_in outer/inner dd if=/dev/zero of=/scratch/inner bs=4k count=32
run_in second tail -f /scratch/first > /dev/null &
sleep 1

# What it was charged becomes its parent's.
rmdir /sys/fs/cgroup/outer/inner
sleep 1
reports
user_reports
echo 1 > /sys/module/labtruth/parameters/crash
