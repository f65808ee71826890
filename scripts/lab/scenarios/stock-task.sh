culprit task 8
reports
user_reports
deliver
out_of_memory
