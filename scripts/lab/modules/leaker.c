// SPDX-License-Identifier: GPL-2.0
/*
 * Leaks until the machine is out of memory: records that stay on a list, and
 * pages whose only pointer is dropped.
 */
#include <linux/gfp.h>
#include <linux/kstrtox.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/panic_notifier.h>
#include <linux/sched.h>
#include <linux/slab.h>


struct rec {
	struct list_head link;
	char bytes[888];
};

static LIST_HEAD(recs);
static unsigned long nr_recs, nr_pages;

static ulong recs_per_round = 1;
module_param(recs_per_round, ulong, 0644);
static ulong pages_per_round = 4;
module_param(pages_per_round, ulong, 0644);

/* Zeroed memory costs a dump next to nothing. */
static bool leaker_get_rec(void)
{
	struct rec *rec = kzalloc(sizeof(*rec), GFP_KERNEL);

	if (!rec)
		return false;
	list_add_tail(&rec->link, &recs);
	nr_recs++;
	return true;
}

static bool leaker_get_page(void)
{
	if (!alloc_page(GFP_KERNEL | __GFP_ZERO))
		return false;
	nr_pages++;
	return true;
}

static void leaker_run(unsigned long rounds)
{
	unsigned long i;

	while (rounds--) {
		for (i = 0; i < recs_per_round; i++)
			leaker_get_rec();
		for (i = 0; i < pages_per_round; i++)
			leaker_get_page();
		cond_resched();
	}
}

static int run_set(const char *value, const struct kernel_param *param)
{
	long rounds;
	int error = kstrtol(value, 0, &rounds);

	if (!error)
		leaker_run(rounds);
	return error;
}

static const struct kernel_param_ops run_ops = { .set = run_set };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "number of rounds; -1 goes on until memory ends");

static int at_panic(struct notifier_block *block, unsigned long event, void *message)
{
	pr_emerg("leaker: %lu recs of %zu bytes, %lu pages\n", nr_recs, sizeof(struct rec), nr_pages);
	return NOTIFY_DONE;
}

static struct notifier_block at_panic_block = { .notifier_call = at_panic };

static int __init leaker_init(void)
{
	return atomic_notifier_chain_register(&panic_notifier_list, &at_panic_block);
}
module_init(leaker_init);

MODULE_DESCRIPTION("Leaks records and pages until memory ends");
MODULE_LICENSE("GPL");
