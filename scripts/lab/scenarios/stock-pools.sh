mkdir -p /kept /huge
# Four of the pool's six are kept for whoever uses this; two are left, and two more are surplus.
mount -t hugetlbfs -o min_size=8M none /kept
mount -t hugetlbfs none /huge
echo 3 > /proc/sys/vm/nr_overcommit_hugepages
fallocate -l 8M /huge/some
sleep 1
reports
user_reports
deliver
echo c > /proc/sysrq-trigger
