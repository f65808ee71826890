// SPDX-License-Identifier: GPL-2.0
/*
 * Millions of objects that are all held: by a hash table of chains, and by one
 * long list; and pages that nobody writes to, single ones and huge ones by halves, in an array. For
 * benchmarks of what follows pointers.
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

static ulong untouched_gib;
module_param(untouched_gib, ulong, 0444);

static struct many **many_table, *many_list;
static struct page **many_pages;
static ulong nr_many_pages;

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

static noinline bool many_add_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (page)
		many_pages[nr_many_pages++] = page;
	return page;
}

static noinline bool many_add_huge_page(void)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, PMD_ORDER);

	if (page)
		many_pages[nr_many_pages++] = page;
	return page;
}

static bool many_add_pages(void)
{
	ulong huge = (untouched_gib << 30 >> PMD_SHIFT) / 2, single = huge << PMD_ORDER;

	many_pages = vcalloc(huge + single, sizeof(*many_pages));
	if (!many_pages)
		return false;
	for (; huge && many_add_huge_page(); huge--)
		cond_resched();
	for (; single && many_add_page(); single--)
		cond_resched();
	return true;
}

static int __init many_init(void)
{
	unsigned long key;

	if (untouched_gib && !many_add_pages())
		return -ENOMEM;

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
