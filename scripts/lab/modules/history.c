// SPDX-License-Identifier: GPL-2.0
/*
 * Mistakes that the kernel has had in many places: a buffer that an error path does not free, what
 * belongs to a network name space and is not freed with it, a queue that is freed with packets in
 * it, and references to a file, to a name, and to a network name space that are never given back.
 * The latter is on the list of all name spaces, and so not lost.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/dcache.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "labtruth.h"

#define MANY 24
#define PACKET 500

#define RECORD(address, size, line, state) \
	LABTRUTH_RECORD_STATE("kmalloc", address, size, line, state, -1)

struct session {
	char name[100];
	void *buffer;
};

static noinline struct session *open_session(void)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return NULL;
	session->buffer = kzalloc(700, GFP_KERNEL), RECORD(session->buffer, 700, __LINE__, "lost");
	/* The device does not answer. */
	kfree(session);
	return NULL;
}

static noinline void close_queue(void)
{
	struct sk_buff_head *queue = kmalloc(sizeof(*queue), GFP_KERNEL);
	int i;

	if (!queue)
		return;
	skb_queue_head_init(queue);
	for (i = 0; i < MANY; i++) {
		struct sk_buff *packet = alloc_skb(PACKET, GFP_KERNEL);

		if (!packet)
			break;
		RECORD(packet, sizeof(*packet), 0, "lost");
		RECORD(packet->head, PACKET, 0, "lost");
		skb_queue_tail(queue, packet);
	}
	/* Without skb_queue_purge(). */
	kfree(queue);
}

static unsigned int history_id;
static int history_net_line;

static int history_net_init(struct net *net)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	history_net_line = __LINE__ - 2;
	if (!session)
		return -ENOMEM;
	*(struct session **)net_generic(net, history_id) = session;
	return 0;
}

/* It takes its memory out of the name space, but does not free it. */
static void history_net_exit(struct net *net)
{
	struct session **session = net_generic(net, history_id);

	RECORD(*session, sizeof(**session), history_net_line, "lost");
	*session = NULL;
}

static struct pernet_operations __net_initdata history_net = {
	.init = history_net_init,
	.exit = history_net_exit,
	.id = &history_id,
	.size = sizeof(struct session *),
};

/* What a task writes is one of its file descriptors. */
static struct file *written(const char *value)
{
	unsigned int number;

	return kstrtouint(value, 0, &number) ? NULL : fget(number);
}

static int set_file(const char *value, const struct kernel_param *parameter)
{
	struct file *file = written(value);

	if (!file)
		return -EBADF;
	RECORD(file, sizeof(*file), 0, "lost");
	/* Without fput(). */
	return 0;
}

static int set_name(const char *value, const struct kernel_param *parameter)
{
	struct file *file = written(value);

	if (!file)
		return -EBADF;
	/* Without dput(). */
	dget(file->f_path.dentry);
	RECORD(file->f_path.dentry, sizeof(struct dentry), 0, "lost");
	RECORD(file_inode(file), sizeof(struct inode), 0, "lost");
	fput(file);
	return 0;
}

static int set_net(const char *value, const struct kernel_param *parameter)
{
	/* Without put_net(). */
	struct net *net = get_net(current->nsproxy->net_ns);

	RECORD(net, sizeof(*net), 0, "held");
	return 0;
}

static const struct kernel_param_ops file_ops = { .set = set_file };
static const struct kernel_param_ops name_ops = { .set = set_name };
static const struct kernel_param_ops net_ops = { .set = set_net };
module_param_cb(file, &file_ops, NULL, 0200);
module_param_cb(name, &name_ops, NULL, 0200);
module_param_cb(net, &net_ops, NULL, 0200);

static int __init history_init(void)
{
	int i, error = register_pernet_subsys(&history_net);

	if (error)
		return error;
	for (i = 0; i < MANY; i++)
		open_session();
	close_queue();
	return 0;
}
module_init(history_init);

MODULE_DESCRIPTION("Forgets memory in ways that the kernel has had");
MODULE_LICENSE("GPL");
