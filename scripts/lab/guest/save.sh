# What the crash kernel runs: each line of dumps holds one dump's file name and
# makedumpfile's options. makedumpfile brings its own C library.
mkdir -p /makedumpfile /tmp
cp /lab/makedumpfile/* /makedumpfile/
while read name options; do
    /makedumpfile/ld.so --library-path /makedumpfile /makedumpfile/makedumpfile \
        --message-level 4 $options /proc/vmcore /lab/out/$name </dev/null || echo "lab: makedumpfile failed for $name"
done < /lab/dumps
sync
echo "lab: saved"
