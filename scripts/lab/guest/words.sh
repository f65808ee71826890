# The vocabulary of scenarios. Busybox's shell reads it, and Debian's in the scenarios that have a userland.

out=/lab/out

# Says on the console what begins, and when.
stage() {
    echo "lab: $1, after $(cut -d. -f1 /proc/uptime) s"
}

# Address of a kernel symbol; modules cannot link against most of them.
symbol() {
    awk -v name="$1" '$3 == name && NF == 3 { print "0x" $1; exit }' /proc/kallsyms
}

load() {
    module=$1; shift
    insmod /lab/modules/$module.ko "$@" || echo "lab: cannot load $module"
}

# Loads labtruth with every address it can use on this kernel; a stock one has no truth to tell.
truth() {
    [ -e /lab/stock ] && return
    parameters=
    for name in alloc_tag_cttype allocinfo_seq_op codetag_get_ct_iter codetag_next_ct codetag_register_type; do
        address=$(symbol $name)
        [ -n "$address" ] && parameters="$parameters $name=$address"
    done
    # Room for the report, and for modules that are loaded later.
    room=$(($(wc -c 2>/dev/null < /proc/allocinfo || echo 0) * 5 / 4))
    [ $room -gt 327680 ] && parameters="$parameters text_size=$room"
    load labtruth $parameters
}

# Makes a memory control group, with a limit if one is given.
group() {
    mkdir -p /sys/fs/cgroup
    mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
    echo +memory > /sys/fs/cgroup/cgroup.subtree_control
    mkdir -p /sys/fs/cgroup/$1
    [ -n "$2" ] && echo $2 > /sys/fs/cgroup/$1/memory.max
}

# Runs a command in a memory control group.
run_in() {
    group=$1; shift
    (exec sh -c 'echo $$ > /sys/fs/cgroup/'$group'/cgroup.procs; exec "$@"' sh "$@")
}

# Runs a command in a memory control group of its own.
in_cgroup() {
    group lab
    run_in lab "$@"
}

# Starts a task, in a memory control group, that keeps all that it is fed with:
# text without an end of line.
eater() {
    mkfifo /food-$1
    run_in $1 tail /food-$1 &
    eater=$!
    exec 3> /food-$1
}

# Its pages are all zero, so they cost a dump next to nothing.
feed() {
    head -c $1 /dev/zero >&3
}

# Pages that are not all the same, and still compress well.
feed_text() {
    yes "the lab feeds" | tr -d '\n' | head -c $1 >&3
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

# The kernel's own list of lost memory. What is lost it reports when it was not found twice, and
# what is younger than five seconds not at all.
judge_leaks() {
    mount -t debugfs debug /sys/kernel/debug 2>/dev/null
    [ -e /sys/kernel/debug/kmemleak ] || return
    sleep 6
    for scan in 1 2; do
        # A signal ends a scan: not in the shell, whose children end.
        (echo scan > /sys/kernel/debug/kmemleak)
    done
    # Without the bytes of each.
    grep -v -e '^    [0-9a-f][0-9a-f] ' -e 'hex dump' /sys/kernel/debug/kmemleak > $out/kmemleak
}

# What tasks, control groups, swap and tmpfs hold, as close to the crash.
user_reports() {
    cat /proc/swaps > $out/swaps
    grep -E '^(Name|Tgid|RssAnon|RssFile|RssShmem|VmSwap|VmPTE):' /proc/[0-9]*/status > $out/tasks
    (cd /sys/fs/cgroup && find . -name 'memory.*' ! -name memory.numa_stat | sort | xargs grep '') > $out/cgroups
    df -k > $out/df
    sync
}

# The stacks that the kernel kept, in its own words: page_owner tells each page's by a number, and
# one file which stack that is; the owners of slab objects are summed up by stack.
stack_reports() {
    mount -t debugfs debugfs /sys/kernel/debug
    cd /sys/kernel/debug
    gzip < page_owner_stacks/show_stacks_handles > $out/stacks.gz
    exec 4<> page_owner
    echo mode=handle >&4
    # A read returns one page's entry, which must fit.
    cat <&4 | gzip > $out/page_owner.gz
    exec 4<&-
    for kind in alloc free; do
        # The last one keeps what page_owner makes of a new stack: this kernel would wait for
        # the lock of that cache, which it has, if reading it first needed a page.
        for cache in $(ls -d slab/* | grep -v kmalloc-16$) slab/kmalloc-16; do
            echo "cache ${cache#slab/}"
            cat $cache/${kind}_traces
        done | gzip > $out/slab_${kind}_traces.gz
    done
    cd /
    sync
}

# Starts the program that eats memory in one way, in a memory control group, and waits
# until only so many MiB are free.
culprit() {
    group lab
    run_in lab /lab/culprit "$@" &
    sleep 1
    while [ ! -e /reached ]; do
        pidof culprit > /dev/null || { echo "lab: the culprit died"; reboot -f; }
        sleep 1
    done
}


# Without a shared folder, reports go to the second serial port.
deliver() {
    [ -e /lab/stock ] || return
    second=/dev/$(cat /lab/second)
    stty -F $second raw
    tar -C /lab -cz -f $second out
    rm -r $out
}

# Out of memory: the program eats all of it, and the kernel panics.
out_of_memory() {
    truth
    culprit "$@"
    reports
    user_reports
    deliver
    echo 1 > /proc/sys/vm/panic_on_oom
    killall -CONT culprit
    wait
}
