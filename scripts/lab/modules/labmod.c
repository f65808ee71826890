// SPDX-License-Identifier: GPL-2.0
/*
 * Allocates a known set of everything. Every site has a line of its own, and
 * every allocation is recorded with it, so that a dump's owner of each address
 * can be checked.
 */
#include <linux/gfp.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "labtruth.h"

#define PAGES 512
#define OBJECTS 1000
#define COUNTERS (PAGE_SIZE > 4096 ? 512 : 128)	/* Larger pages make a larger first chunk. */

struct labmod_object {
	char bytes[328];
};

struct labmod_counter {
	char bytes[256];
};

static struct page *pages[PAGES];
static void *kmallocs[OBJECTS];
static struct labmod_object *objects[OBJECTS];
static struct kmem_cache *cache;
static struct page *compound, *plain[4], *split;
static void *large, *area, *either, *element, *grown, *copy, *name;
static struct labmod_counter __percpu *counters[COUNTERS];
static mempool_t *pool;
static struct rhashtable table;

static const struct rhashtable_params table_params = {
	.key_len = sizeof(u32),
	.nelem_hint = 100,
};

static void record_pages(const char *kind, struct page *page, unsigned int order, int line, bool live)
{
	LABTRUTH_RECORD(kind, page_address(page), PAGE_SIZE << order, line, live, page_to_pfn(page));
}

static void labmod_pages(void)
{
	int i, line;

	for (i = 0; i < PAGES; i++)
		pages[i] = alloc_page(GFP_KERNEL), line = __LINE__;

	for (i = 0; i < PAGES; i++) {
		bool live = i % 8 != 7;

		record_pages("page", pages[i], 0, line, live);
		if (!live)
			__free_page(pages[i]);
	}
}

/* Accounted objects lie in other caches, whose extensions also hold an owner. */
static void labmod_kmalloc(void)
{
	int i, line;

	for (i = 0; i < OBJECTS; i++)
		kmallocs[i] = kmalloc(200, i & 1 ? GFP_KERNEL_ACCOUNT : GFP_KERNEL), line = __LINE__;

	for (i = 0; i < OBJECTS; i++) {
		bool live = i % 10 != 8 && i % 10 != 9;

		LABTRUTH_RECORD(i & 1 ? "kmalloc_account" : "kmalloc", kmallocs[i], 200, line, live, -1);
		if (!live)
			kfree(kmallocs[i]);
	}
}

static void labmod_cache(void)
{
	int i, line;

	cache = kmem_cache_create("labmod_cache", sizeof(struct labmod_object), 0, 0, NULL);
	if (!cache)
		return;
	for (i = 0; i < OBJECTS; i++)
		objects[i] = kmem_cache_alloc(cache, GFP_KERNEL), line = __LINE__;

	for (i = 0; i < OBJECTS; i++) {
		bool live = i % 16 != 15;

		LABTRUTH_RECORD("cache", objects[i], sizeof(struct labmod_object), line, live, -1);
		if (!live)
			kmem_cache_free(cache, objects[i]);
	}
}

static void labmod_compound(void)
{
	compound = alloc_pages(GFP_KERNEL | __GFP_COMP, 4);
	record_pages("compound", compound, 4, __LINE__ - 1, true);
}

/* Nothing in a dump tells the order of these. */
static void labmod_plain(void)
{
	int i, line;

	for (i = 0; i < ARRAY_SIZE(plain); i++)
		plain[i] = alloc_pages(GFP_KERNEL, 3), line = __LINE__;

	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		bool live = i != 3;

		record_pages("plain", plain[i], 3, line, live);
		if (!live)
			__free_pages(plain[i], 3);
	}
}

/* Splitting gives each page a reference and counts three more calls. */
static void labmod_split(void)
{
	int i, line;

	split = alloc_pages(GFP_KERNEL, 2), line = __LINE__;
	split_page(split, 2);
	for (i = 0; i < 4; i++) {
		bool live = i != 2;

		record_pages("split", split + i, 0, line, live);
		if (!live)
			__free_page(split + i);
	}
}

static void labmod_large(void)
{
	large = kmalloc(20000, GFP_KERNEL);
	LABTRUTH_RECORD("large", large, 20000, __LINE__ - 1, true, page_to_pfn(virt_to_page(large)));
}

static void labmod_vmalloc(void)
{
	area = vmalloc(1 << 20);
	LABTRUTH_RECORD("vmalloc", area, 1 << 20, __LINE__ - 1, true, -1);
}

static void labmod_kvmalloc(void)
{
	either = kvmalloc(72 << 10, GFP_KERNEL);
	LABTRUTH_RECORD("kvmalloc", either, 72 << 10, __LINE__ - 1, true, -1);
}

/*
 * More than fits into the first chunk, which has no extensions: what lies
 * there is not counted and has no owner.
 */
static void labmod_percpu(void)
{
	int i, line;

	for (i = 0; i < COUNTERS; i++)
		counters[i] = alloc_percpu(struct labmod_counter), line = __LINE__;

	for (i = 0; i < COUNTERS; i++) {
		bool live = i % 8 != 7;

		LABTRUTH_RECORD("percpu", counters[i], sizeof(struct labmod_counter), line, live, -1);
		if (!live)
			free_percpu(counters[i]);
	}
}

/* The pool's own 8 elements belong to the line that made the pool. */
static void labmod_mempool(void)
{
	pool = mempool_create_kmalloc_pool(8, 600);
	if (!pool)
		return;
	LABTRUTH_RECORD("mempool", pool, sizeof(*pool), __LINE__ - 3, true, -1);
	element = mempool_alloc(pool, GFP_KERNEL);
	LABTRUTH_RECORD("element", element, 600, __LINE__ - 1, true, -1);
}

static void labmod_krealloc(void)
{
	void *small = kmalloc(100, GFP_KERNEL);
	int line = __LINE__ - 1;

	grown = krealloc(small, 3000, GFP_KERNEL);
	LABTRUTH_RECORD("kmalloc", small, 100, line, false, -1);
	LABTRUTH_RECORD("krealloc", grown, 3000, __LINE__ - 2, true, -1);
}

static void labmod_copies(void)
{
	copy = kmemdup(&table_params, sizeof(table_params), GFP_KERNEL);
	LABTRUTH_RECORD("kmemdup", copy, sizeof(table_params), __LINE__ - 1, true, -1);
	/* The tag is the one inside kstrdup itself, so there is no line to tell. */
	name = kstrdup("labmod's own string", GFP_KERNEL);
	LABTRUTH_RECORD("kstrdup", name, sizeof("labmod's own string"), 0, true, -1);
}

static void labmod_rhashtable(void)
{
	struct bucket_table *buckets;

	if (rhashtable_init(&table, &table_params))
		return;
	buckets = rcu_dereference_raw(table.tbl);
	LABTRUTH_RECORD("rhashtable", buckets, struct_size(buckets, buckets, buckets->size), __LINE__ - 3, true, -1);
}

static int __init labmod_init(void)
{
	labmod_pages();
	labmod_kmalloc();
	labmod_cache();
	labmod_compound();
	labmod_plain();
	labmod_split();
	labmod_large();
	labmod_vmalloc();
	labmod_kvmalloc();
	labmod_percpu();
	labmod_mempool();
	labmod_krealloc();
	labmod_copies();
	labmod_rhashtable();
	return 0;
}
module_init(labmod_init);

MODULE_DESCRIPTION("A known set of allocations of every kind");
MODULE_LICENSE("GPL");
