// SPDX-License-Identifier: GPL-2.0
/*
 * Millions of objects that are all held: by a hash table of chains, and by one
 * long list. For benchmarks of what follows pointers.
 */
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define BUCKET_BITS 20

struct many {
	struct many *next;
	unsigned long key;
	char bytes[48];
};

static ulong in_table = 9000000;
module_param(in_table, ulong, 0444);
static ulong in_list = 1000000;
module_param(in_list, ulong, 0444);

static struct many **many_table, *many_list;

static noinline bool many_add_to_table(unsigned long key)
{
	struct many **bucket = &many_table[hash_long(key, BUCKET_BITS)];
	struct many *new = kzalloc(sizeof(*new), GFP_KERNEL);

	if (!new)
		return false;
	new->key = key;
	new->next = *bucket;
	WRITE_ONCE(*bucket, new);
	return true;
}

static noinline bool many_add_to_list(unsigned long key)
{
	struct many *new = kzalloc(sizeof(*new), GFP_KERNEL);

	if (!new)
		return false;
	new->key = key;
	new->next = many_list;
	WRITE_ONCE(many_list, new);
	return true;
}

static int __init many_init(void)
{
	unsigned long key;

	many_table = vzalloc(sizeof(*many_table) << BUCKET_BITS);
	if (!many_table)
		return -ENOMEM;
	for (key = 0; key < in_table; key++) {
		if (!many_add_to_table(key))
			break;
		cond_resched();
	}
	for (key = 0; key < in_list; key++) {
		if (!many_add_to_list(key))
			break;
		cond_resched();
	}
	return 0;
}
module_init(many_init);

MODULE_DESCRIPTION("Holds millions of objects");
MODULE_LICENSE("GPL");
