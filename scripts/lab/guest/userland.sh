# Runs the scenario in a userland: the files of the machine that QEMU runs on, read-only, and what the guest writes
# over them, which stays in its memory. Its programs are bash and the rest of Debian.
options=trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro
mkdir -p /machine /installed /written /root
mount -t 9p -o $options host /machine || echo "lab: no host files"
mount -t 9p -o $options modules /installed || echo "lab: no modules"
mount -t tmpfs -o size=256m written /written
mkdir /written/files /written/work
mount -t overlay -o lowerdir=/machine,upperdir=/written/files,workdir=/written/work root /root || echo "lab: no overlay"
mkdir -p /root/lab /root/usr/lib/modules
for folder in proc sys dev lab; do
    mount --bind /$folder /root/$folder
done
mount --bind /installed/lib/modules /root/usr/lib/modules
for folder in tmp run mnt; do
    mount -t tmpfs $folder /root/$folder
done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t cgroup2 cgroup /root/sys/fs/cgroup
mount -t debugfs debug /root/sys/kernel/debug
mount -t bpf bpf /root/sys/fs/bpf
# The kernel itself asks for modules in the first file system.
mkdir -p /sbin
printf '#!/bin/sh\nexec chroot /root /usr/sbin/modprobe "$@"\n' > /sbin/modprobe
chmod 755 /sbin/modprobe
chroot /root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TERM=dumb LANG=C.UTF-8 \
    /bin/bash -c '. /lab/words.sh; . /lab/scenario.sh'
