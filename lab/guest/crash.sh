# What the kernel that will crash runs: loads the crash kernel, then the
# scenario. The functions are the scenario's vocabulary.

out=/lab/out

# Address of a kernel symbol; modules cannot link against most of them.
symbol() {
    awk -v name="$1" '$3 == name && NF == 3 { print "0x" $1; exit }' /proc/kallsyms
}

load() {
    module=$1; shift
    insmod /lab/modules/$module.ko "$@" || echo "lab: cannot load $module"
}

# Loads labtruth with every address it can use on this kernel.
truth() {
    parameters=
    for name in alloc_tag_cttype allocinfo_seq_op codetag_get_ct_iter codetag_next_ct codetag_register_type; do
        address=$(symbol $name)
        [ -n "$address" ] && parameters="$parameters $name=$address"
    done
    load labtruth $parameters
}

# Runs a command in a memory control group of its own.
in_cgroup() {
    mkdir -p /sys/fs/cgroup
    mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
    echo +memory > /sys/fs/cgroup/cgroup.subtree_control
    mkdir -p /sys/fs/cgroup/lab
    (exec sh -c 'echo $$ > /sys/fs/cgroup/lab/cgroup.procs; exec "$@"' sh "$@")
}

# Leaves the module's memory behind.
load_and_unload() {
    load $1
    rmmod $1
}

# The kernel's other reports, as close to the crash as user space can be.
reports() {
    for file in meminfo zoneinfo buddyinfo slabinfo vmallocinfo vmstat modules iomem; do
        cat /proc/$file > $out/$file 2>/dev/null
    done
    [ -e /proc/allocinfo ] && cat /proc/allocinfo > $out/allocinfo.before
    sync
}

/lab/kexec/ld.so --library-path /lab/kexec /lab/kexec/kexec -p /lab/bzImage --initrd=/lab/initrd \
    --command-line="$(cat /lab/save.cmdline)" || echo "lab: kexec failed"

. /lab/scenario.sh
