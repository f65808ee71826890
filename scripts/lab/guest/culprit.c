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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PIPE_SIZE (128 << 10)
#define FILES_IN_FOLDER 1000

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

/* An empty file: an inode and a name. */
static void inodes(void)
{
	char path[100];
	int file;

	snprintf(path, sizeof(path), "%s/%ld", folder, step / FILES_IN_FOLDER);
	if (step % FILES_IN_FOLDER == 0)
		check(!mkdir(path, 0755), path);
	snprintf(path, sizeof(path), "%s/%ld/%ld", folder, step / FILES_IN_FOLDER, step);
	file = open(path, O_CREAT | O_WRONLY, 0644);
	check(file >= 0, path);
	close(file);
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

static void task(void)
{
	size_t size = 1 << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(memory != MAP_FAILED, "mmap");
	memset(memory, 0, size);
}

static const struct {
	const char *name;
	void (*eat)(void);
} kinds[] = {
	{ "inodes", inodes }, { "tmpfs", tmpfs }, { "pipes", pipes },
	{ "sockets", sockets }, { "task", task },
};

static void (*kind(const char *name))(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return kinds[i].eat;
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
	unsigned long long margin;
	void (*eat)(void);
	int reached = 0;

	check(count > 2, "usage: culprit KIND MIB [DIRECTORY]");
	eat = kind(words[1]);
	margin = strtoull(words[2], NULL, 10) << 20;
	if (count > 3)
		folder = words[3];
	check(!setrlimit(RLIMIT_NOFILE, &files), "setrlimit");

	for (;; step++) {
		if (!reached && only_free(margin)) {
			reached = 1;
			close(open("/reached", O_CREAT | O_WRONLY, 0644));
			raise(SIGSTOP);
		}
		eat();
	}
}
