#!/bin/sh
# First process of a guest's guest: uses its memory, says so, and lives. Kernel parameter: fill, in MiB.
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=100% files /host
head -c ${fill}m /dev/zero > /host/filled
echo "lab: filled"
while :; do sleep 100; done
