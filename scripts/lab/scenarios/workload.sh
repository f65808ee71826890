# A machine at work. What one part cannot do is told on the console, and costs the others nothing.
stress=${stress:-20}

devices() {
    for module in virtio_blk nvme e1000e virtio_net virtio_balloon loop zram ext4 xfs btrfs dm_mod dm_crypt nfsd nfs nfsv4 nf_tables \
        nf_conntrack veth bridge tun dummy macvlan vxlan sch_htb sch_netem sch_fq cls_flower kvm_amd binfmt_misc null_blk; do
        modprobe $module || echo "lab: no module $module"
    done
    ip link set lo up
}

memory() {
    echo 1 > /sys/kernel/mm/ksm/run
    echo 1000 > /sys/kernel/mm/ksm/pages_to_scan
    echo always > /sys/kernel/mm/transparent_hugepage/enabled
    echo 16 > /proc/sys/vm/nr_hugepages
    echo 128M > /sys/block/zram0/disksize
    mkswap -q /dev/zram0
    swapon -p 10 /dev/zram0
    echo 1 > /sys/module/zswap/parameters/enabled
}

# Files on a file system: small ones, a large one, and some of Debian's.
fill() {
    mkdir -p $1/many
    for number in $(seq 100); do
        echo "file $number" > $1/many/$number
    done
    dd if=/dev/zero of=$1/large bs=256k count=20 status=none
    cp -r /etc/apt /etc/ssl /etc/init.d $1/
}

file_systems() {
    mkdir -p /mnt/ext4 /mnt/xfs /mnt/btrfs /mnt/crypt /mnt/nvme /mnt/nfs
    mkfs.ext4 -q -F /dev/vda && mount /dev/vda /mnt/ext4
    mkfs.ext4 -q -F /dev/nvme0n1 && mount /dev/nvme0n1 /mnt/nvme
    truncate -s 320M /mnt/ext4/xfs.image
    truncate -s 256M /mnt/ext4/btrfs.image
    truncate -s 32M /mnt/ext4/crypt.image
    mkfs.xfs -q /mnt/ext4/xfs.image && mount -o loop /mnt/ext4/xfs.image /mnt/xfs
    mkfs.btrfs -q /mnt/ext4/btrfs.image && mount -o loop,compress=zstd /mnt/ext4/btrfs.image /mnt/btrfs
    device=$(losetup -f --show /mnt/ext4/crypt.image)
    dmsetup create --noudevsync crypt --table "0 65536 crypt aes-xts-plain64 $(printf '%064d' 7) 0 $device 0"
    dmsetup mknodes
    mkfs.ext4 -q /dev/mapper/crypt && mount /dev/mapper/crypt /mnt/crypt
    for name in ext4 xfs btrfs crypt nvme; do
        fill /mnt/$name
    done
    btrfs subvolume create /mnt/btrfs/one > /dev/null
    btrfs subvolume snapshot /mnt/btrfs/one /mnt/btrfs/two > /dev/null
    sync
}

# A server and its client in one.
nfs() {
    mkdir -p /var/lib/nfs/rpc_pipefs /var/lib/nfs/v4recovery /run/rpcbind
    mount -t nfsd nfsd /proc/fs/nfsd
    mount -t rpc_pipefs rpc /var/lib/nfs/rpc_pipefs
    rpcbind
    echo 10 > /proc/fs/nfsd/nfsv4leasetime
    echo 10 > /proc/fs/nfsd/nfsv4gracetime
    exportfs -i -o rw,no_root_squash,fsid=0,no_subtree_check,insecure '*:/mnt/ext4'
    rpc.mountd -N 3
    rpc.nfsd -N 3 2
    timeout 60 mount -t nfs4 -o vers=4.2,soft 127.0.0.1:/ /mnt/nfs || return
    ls -lR /mnt/nfs/many > /mnt/nvme/listing
    cp -r /etc/init.d /mnt/nfs/copied
    exec 8< /mnt/nfs/many/1
    sleep 10000
}

network() {
    ip link add bridge0 type bridge
    ip addr add 10.9.0.1/24 dev bridge0
    ip link set bridge0 up
    for number in 2 3; do
        space=space$number
        ip netns add $space
        ip link add outer$number type veth peer name inner netns $space
        ip link set outer$number master bridge0 up
        ip -n $space addr add 10.9.0.$number/24 dev inner
        ip -n $space addr add fd00::$number/64 dev inner nodad
        ip -n $space link set lo up
        ip -n $space link set inner up
        ip -n $space route add default via 10.9.0.1
    done
    ip link add vxlan0 type vxlan id 7 dev bridge0 dstport 4789 group 239.1.1.1
    ip link set vxlan0 up
    ip link add macvlan0 link bridge0 type macvlan
    ip link add dummy0 type dummy
    ip link set dummy0 up
    for number in $(seq 40); do
        ip route add 10.7.$number.0/24 dev dummy0
    done
    for path in /sys/class/net/en* /sys/class/net/eth*; do
        [ -e $path ] && ip link set ${path##*/} up
    done
    sysctl -qw net.ipv4.ip_forward=1
    nft -f - << 'END'
table inet lab {
    set refused { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.0-198.51.100.9 } }
    set known { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 5m; }
    map chosen { type inet_service : verdict; elements = { 80 : accept, 8000 : accept } }
    chain input {
        type filter hook input priority 0
        ct state established counter accept
        ip saddr @refused drop
        ct state new add @known { ip saddr . tcp dport } counter
        tcp dport vmap @chosen
    }
}
table ip outside {
    chain after { type nat hook postrouting priority 100; ip saddr 10.9.0.0/24 oif != "bridge0" masquerade; }
}
END
    tc qdisc add dev outer2 root handle 1: htb default 10
    tc class add dev outer2 parent 1: classid 1:10 htb rate 100mbit
    tc qdisc add dev outer2 parent 1:10 netem delay 2ms limit 500
    tc qdisc add dev outer3 root fq
    python3 /lab/traffic.py serve &
    iperf3 -s -D > /dev/null
    sleep 3
    for number in 2 3; do
        nice ip netns exec space$number python3 /lab/traffic.py ask 10.9.0.1 &
    done
    nice ip netns exec space2 timeout 60 iperf3 -c 10.9.0.1 -t 40 -P 2 > /dev/null &
}

holders() {
    for kind in bpf pipes unix tcp watches memory requests rest; do
        python3 /lab/holder.py $kind &
    done
    echo 1 > /sys/kernel/debug/tracing/events/sched/sched_switch/enable
    echo +memory > /sys/fs/cgroup/cgroup.subtree_control
    mkdir /sys/fs/cgroup/job
    echo 48M > /sys/fs/cgroup/job/memory.max
}

# Nicer than the shell that ends it.
load_it() {
    mkdir /mnt/ext4/s /mnt/xfs/s /mnt/btrfs/s /mnt/nvme/s
    run_in job nice -n 19 stress-ng --quiet --temp-path /mnt/xfs/s -t 10000 --vm 1 --vm-bytes 56M --dentry 1 --fork 1 --hdd 1 --hdd-bytes 4M &
    nice -n 19 stress-ng --quiet --temp-path /mnt/ext4/s -t 10000 --pipe 1 --epoll 1 --sockpair 1 --mq 1 --timerfd 1 --inotify 1 \
        --key 1 --aio 1 --memfd 1 --memfd-bytes 16M --clone 1 --sigq 1 --seccomp 1 --zombie 1 --shm-sysv 1 --af-alg 1 --userfaultfd 1 --userfaultfd-bytes 4M &
    nice -n 19 fio --name=one --directory=/mnt/btrfs/s --rw=randrw --size=4m --bs=8k --ioengine=io_uring --iodepth=8 --time_based --runtime=10000 > /dev/null &
    nice -n 19 fio --name=two --directory=/mnt/nvme/s --rw=randwrite --direct=1 --size=4m --bs=4k --ioengine=libaio --iodepth=16 --time_based --runtime=10000 > /dev/null &
}

renice -n -19 -p $$ > /dev/null
ulimit -n 100000
for part in devices memory file_systems; do
    stage $part
    $part
done
truth
load reach
load_and_unload leaked
stage nfs
nfs &
for part in network holders load_it; do
    stage $part
    $part
done
sleep $stress
stage judge
grep -E '^(MemFree|Slab|AnonHuge|Zswap|HugePages_Total):' /proc/meminfo
mount | grep -cE 'nfs4|xfs|btrfs|ext4'
wc -l < /proc/modules
judge_leaks
stage reports
reports
user_reports
stage crash
echo 1 > /sys/module/labtruth/parameters/crash
