# What the kernel that will crash runs: loads the crash kernel, then the scenario.
. /lab/words.sh

# A kernel of a distribution is large; another one saves its dump.
saver=kernel
[ -e /lab/saver ] && saver=saver
/lab/kexec/ld.so --library-path /lab/kexec /lab/kexec/kexec -p /lab/$saver --initrd=/lab/initrd \
    --command-line="$(cat /lab/save.cmdline)" || { echo "lab: kexec failed"; reboot -f; }

if [ -e /lab/stock ]; then
    rm -r /lab/kexec /lab/kernel /lab/initrd
    for module in $(cat /lab/stock); do
        load $module
    done
fi

if [ -e /lab/userland.sh ]; then
    . /lab/userland.sh
else
    . /lab/scenario.sh
fi
