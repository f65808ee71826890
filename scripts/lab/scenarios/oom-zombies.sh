mkdir /scratch
mount -t tmpfs -o size=0,nr_inodes=0 scratch /scratch
group jobs
echo +memory > /sys/fs/cgroup/jobs/cgroup.subtree_control

free() {
    awk '$1 == "MemFree:" { print $2 }' /proc/meminfo
}

# Each job leaves a file on the tmpfs. Its group is removed, but what it was charged for stays.
n=0
while [ $(free) -gt 12000 ]; do
    n=$((n + 1))
    mkdir /sys/fs/cgroup/jobs/job$n
    run_in jobs/job$n dd if=/dev/zero of=/scratch/result$n bs=64k count=40 2>/dev/null
    rmdir /sys/fs/cgroup/jobs/job$n
done
reports
user_reports
grep '' /sys/fs/cgroup/jobs/cgroup.stat > $out/cgroup.stat
deliver
echo 1 > /proc/sys/vm/panic_on_oom
head -c 64m /dev/zero > /scratch/last
