# Small pages only, so that the guest's memory needs many tables; disk and network go through the IOMMU.
for module in nvme e1000e ext4 kvm_amd; do
    modprobe $module || echo "lab: no module $module"
done
sleep 2
truth
load reach
load_and_unload leaked
ls /sys/class/iommu /sys/kernel/iommu_groups | tr '\n' ' '
mkdir /mnt/nvme
mkfs.ext4 -q -F /dev/nvme0n1 && mount /dev/nvme0n1 /mnt/nvme
for path in /sys/class/net/e*; do
    ip link set ${path##*/} up
done
nice -n 19 fio --name=one --directory=/mnt/nvme --rw=randwrite --direct=1 --size=16m --bs=4k --ioengine=libaio --iodepth=32 --time_based --runtime=10000 > /dev/null &

stage nested
said=/tmp/nested
# The guest's processor is the simplest one: this host's own is more than its kernel finds in it.
qemu-system-x86_64 -accel kvm -cpu kvm64 -m 256M -display none -nic none -no-reboot -serial file:$said \
    -kernel /lab/nested/kernel -initrd /lab/nested/initrd -append "console=ttyS0 fill=150" < /dev/null &
end=$((SECONDS + 400))
while [ $SECONDS -lt $end ] && ! grep -q 'lab: filled' $said; do
    sleep 3
done
tail -1 $said
stage judge
judge_leaks
stage reports
reports
user_reports
grep -E 'PageTables' /proc/meminfo
stage crash
echo 1 > /sys/module/labtruth/parameters/crash
