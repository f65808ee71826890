group lab
for i in 1 2 3 4 5; do
    run_in lab sleep 1000 &
done
sleep 1
reports
user_reports
deliver
echo c > /proc/sysrq-trigger
