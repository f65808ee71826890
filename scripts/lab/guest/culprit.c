// SPDX-License-Identifier: GPL-2.0
/*
 * Eats a machine's memory in one way, as one task: culprit KIND MIB [DIRECTORY].
 * When only MIB are free it makes the file /reached and stops, so that what the kernel
 * says of it can be saved; when continued it goes on until the kernel gives up. All
 * that it writes is zero, and so costs a dump next to nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PIPE_SIZE (128 << 10)
#define LARGE_PIPE (2 << 20)
#define FILES_IN_FOLDER 1000
#define EVENTS 1000
#define ELEMENTS 100000

static const char zeros[64 << 10];
static const char *folder = "/tmp";
static long step;

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "culprit: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void fill(int file, size_t piece)
{
	while (write(file, zeros, piece) > 0)
		;
}

/* Raises a limit of the kernel's, where it has it. */
static void set(const char *path, const char *value)
{
	int file = open(path, O_WRONLY);

	if (file < 0)
		return;
	check(write(file, value, strlen(value)) > 0, path);
	close(file);
}

/* An empty file: an inode and a name. Returns its path. */
static const char *empty_file(void)
{
	static char path[100];
	int file;

	snprintf(path, sizeof(path), "%s/%ld", folder, step / FILES_IN_FOLDER);
	if (step % FILES_IN_FOLDER == 0)
		check(!mkdir(path, 0755), path);
	snprintf(path, sizeof(path), "%s/%ld/%ld", folder, step / FILES_IN_FOLDER, step);
	file = open(path, O_CREAT | O_WRONLY, 0644);
	check(file >= 0, path);
	close(file);
	return path;
}

static void inodes(void)
{
	empty_file();
}

/* A file that is watched, and so stays in memory. */
static void watches(void)
{
	static int watcher;

	if (!watcher) {
		set("/proc/sys/fs/inotify/max_user_watches", "100000000");
		watcher = inotify_init1(0);
		check(watcher >= 0, "inotify_init");
	}
	check(inotify_add_watch(watcher, empty_file(), IN_MODIFY) >= 0, "inotify_add_watch");
}

/* More data for one file. */
static void tmpfs(void)
{
	static int file;

	if (!file) {
		char path[100];

		snprintf(path, sizeof(path), "%s/data", folder);
		file = open(path, O_CREAT | O_WRONLY, 0644);
		check(file >= 0, path);
	}
	check(write(file, zeros, sizeof(zeros)) > 0, "write");
}

static void pipes(void)
{
	int ends[2];

	check(!pipe2(ends, O_NONBLOCK), "pipe");
	check(fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE) > 0, "F_SETPIPE_SZ");
	fill(ends[1], 4096);
}

/* A pair of each kind, with what was sent and never received. */
static void sockets(void)
{
	int ends[2];

	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), "socketpair");
	fill(ends[0], 32 << 10);
	check(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), "socketpair");
	fill(ends[0], 30000);
}

/* A set for a client, with all events that there are in each. */
static void epoll(void)
{
	static int events[EVENTS];
	struct epoll_event event = { .events = EPOLLIN };
	int set_of_all;

	if (!events[0]) {
		set("/proc/sys/fs/epoll/max_user_watches", "100000000");
		for (int i = 0; i < EVENTS; i++)
			check((events[i] = eventfd(0, 0)) >= 0, "eventfd");
	}
	set_of_all = epoll_create1(0);
	check(set_of_all >= 0, "epoll_create");
	for (int i = 0; i < EVENTS; i++)
		check(!epoll_ctl(set_of_all, EPOLL_CTL_ADD, events[i], &event), "epoll_ctl");
}

static void task(void)
{
	size_t size = 1 << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(memory != MAP_FAILED, "mmap");
	memset(memory, 0, size);
}

static int bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* A thousand elements more of a hash map. They are allocated without waiting: when that fails,
 * the task takes memory of its own. */
static void maps(void)
{
	static int map;
	union bpf_attr element = {};
	long key;

	if (step % (ELEMENTS / 1000) == 0) {
		union bpf_attr made = {
			.map_type = BPF_MAP_TYPE_HASH, .key_size = sizeof(key), .value_size = 400,
			.max_entries = ELEMENTS, .map_flags = BPF_F_NO_PREALLOC, .map_name = "sessions",
		};

		map = bpf(BPF_MAP_CREATE, &made);
		check(map >= 0, "BPF_MAP_CREATE");
	}
	element.map_fd = map;
	element.key = (unsigned long)&key;
	element.value = (unsigned long)zeros;
	for (key = step * 1000; key < (step + 1) * 1000; key++) {
		if (!bpf(BPF_MAP_UPDATE_ELEM, &element))
			continue;
		check(errno == ENOMEM, "BPF_MAP_UPDATE_ELEM");
		task();
	}
}

static void keyrings(void)
{
	char name[40];

	if (!step) {
		set("/proc/sys/kernel/keys/root_maxkeys", "1000000");
		set("/proc/sys/kernel/keys/root_maxbytes", "2000000000");
	}
	snprintf(name, sizeof(name), "culprit:%ld", step);
	check(syscall(SYS_add_key, "user", name, zeros, 4000, KEY_SPEC_PROCESS_KEYRING) >= 0,
	      "add_key");
}

static int *every_other;
static long others;

/* Two pipes that take one page each in turn, so that neighbors belong to different ones. */
static void checkered(void)
{
	int first[2], second[2];

	check(!pipe2(first, O_NONBLOCK) && !pipe2(second, O_NONBLOCK), "pipe");
	check(fcntl(first[1], F_SETPIPE_SZ, PIPE_SIZE) > 0, "F_SETPIPE_SZ");
	check(fcntl(second[1], F_SETPIPE_SZ, PIPE_SIZE) > 0, "F_SETPIPE_SZ");
	while (write(first[1], zeros, 4096) > 0 && write(second[1], zeros, 4096) > 0)
		;
	every_other = realloc(every_other, (others + 2) * sizeof(int));
	check(every_other != NULL, "realloc");
	every_other[others++] = first[0];
	every_other[others++] = first[1];
}

/* Half of all pages are free then, but no two beside each other. */
static void free_every_other(void)
{
	while (others)
		close(every_other[--others]);
}

/* A pipe whose buffers, 40 bytes each, lie in one piece of order 3. */
static void large_pieces(void)
{
	int ends[2];

	check(!pipe2(ends, O_NONBLOCK), "pipe");
	check(fcntl(ends[1], F_SETPIPE_SZ, LARGE_PIPE) > 0, "F_SETPIPE_SZ");
}

static const struct kind {
	const char *name;
	void (*eat)(void);
	void (*turn)(void); /* when memory is short, before it stops */
	void (*end)(void); /* instead of eating after that */
} kinds[] = {
	{ "inodes", inodes }, { "watches", watches }, { "tmpfs", tmpfs }, { "pipes", pipes },
	{ "sockets", sockets }, { "epoll", epoll }, { "maps", maps }, { "keyrings", keyrings },
	{ "task", task }, { "fragments", checkered, free_every_other, large_pieces },
};

static const struct kind *find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	errno = EINVAL;
	check(0, name);
	return NULL;
}

static int only_free(unsigned long long size)
{
	struct sysinfo info;

	check(!sysinfo(&info), "sysinfo");
	return (unsigned long long)info.freeram * info.mem_unit < size;
}

int main(int count, char **words)
{
	struct rlimit files = { 1000000, 1000000 };
	const struct kind *kind;
	unsigned long long margin;

	check(count > 2, "usage: culprit KIND MIB [DIRECTORY]");
	kind = find(words[1]);
	margin = strtoull(words[2], NULL, 10) << 20;
	if (count > 3)
		folder = words[3];
	check(!setrlimit(RLIMIT_NOFILE, &files), "setrlimit");

	for (; !only_free(margin); step++)
		kind->eat();
	if (kind->turn)
		kind->turn();
	close(open("/reached", O_CREAT | O_WRONLY, 0644));
	raise(SIGSTOP);
	for (;; step++)
		(kind->end ? kind->end : kind->eat)();
}
