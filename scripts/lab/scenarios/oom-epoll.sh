out_of_memory epoll 8
