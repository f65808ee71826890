// SPDX-License-Identifier: GPL-2.0
/*
 * Allocates accounted memory whenever a task writes "NODE CGROUP" to its parameter: on that node,
 * charged to the task's memory cgroup, whose path the task tells. Each allocation is recorded with
 * both; the node is the one that it really lies on.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "labtruth.h"

#define OBJECTS 100
#define PAGES 20
#define BLOCKS 3
#define AREA (64 << 10)
#define COUNTERS 16
#define RUNS 8

struct charged_object {
	char bytes[328];
};

struct charged_counter {
	char bytes[256];
};

/* A run holds what it allocates. Nothing reads the runs, so the compiler drops them: all is lost. */
struct run {
	void *kmallocs[OBJECTS];
	struct charged_object *objects[OBJECTS];
	struct page *pages[PAGES], *blocks[BLOCKS];
	void *large, *area, *uncharged[OBJECTS];
	struct charged_counter __percpu *counters[COUNTERS];
};

static struct run *runs[RUNS];
static int nr_runs;
static struct kmem_cache *cache;

static void record(const char *kind, const volatile void *at, size_t size, int line,
		   struct page *page, const char *cgroup)
{
	labtruth_record_charged(kind, at, size, line, "live", page ? page_to_pfn(page) : -1,
				KBUILD_MODNAME, page ? page_to_nid(page) : -1, cgroup);
}

static void charged_objects(struct run *run, int node, const char *cgroup)
{
	int i, line;

	for (i = 0; i < OBJECTS; i++)
		run->kmallocs[i] = kmalloc_node(200, GFP_KERNEL_ACCOUNT | __GFP_THISNODE, node), line = __LINE__;
	for (i = 0; i < OBJECTS; i++)
		record("kmalloc", run->kmallocs[i], 200, line, virt_to_page(run->kmallocs[i]), cgroup);

	for (i = 0; i < OBJECTS; i++)
		run->objects[i] = kmem_cache_alloc_node(cache, GFP_KERNEL | __GFP_THISNODE, node), line = __LINE__;
	for (i = 0; i < OBJECTS; i++)
		record("cache", run->objects[i], sizeof(struct charged_object), line,
		       virt_to_page(run->objects[i]), cgroup);

	for (i = 0; i < OBJECTS; i++)
		run->uncharged[i] = kmalloc_node(200, GFP_KERNEL | __GFP_THISNODE, node), line = __LINE__;
	for (i = 0; i < OBJECTS; i++)
		record("uncharged", run->uncharged[i], 200, line, virt_to_page(run->uncharged[i]), "-");
}

static void charged_pages(struct run *run, int node, const char *cgroup)
{
	int i, line;

	for (i = 0; i < PAGES; i++)
		run->pages[i] = alloc_pages_node(node, GFP_KERNEL_ACCOUNT | __GFP_THISNODE, 0), line = __LINE__;
	for (i = 0; i < PAGES; i++)
		record("page", page_address(run->pages[i]), PAGE_SIZE, line, run->pages[i], cgroup);

	for (i = 0; i < BLOCKS; i++)
		run->blocks[i] = alloc_pages_node(node, GFP_KERNEL_ACCOUNT | __GFP_THISNODE | __GFP_COMP, 3), line = __LINE__;
	for (i = 0; i < BLOCKS; i++)
		record("compound", page_address(run->blocks[i]), PAGE_SIZE << 3, line, run->blocks[i], cgroup);

	run->large = kmalloc_node(20000, GFP_KERNEL_ACCOUNT | __GFP_THISNODE, node);
	record("large", run->large, 32768, __LINE__ - 1, virt_to_page(run->large), cgroup);
}

/* The pages of an area lie where there is room: each has a record. */
static void charged_area(struct run *run, const char *cgroup)
{
	int i, line;

	run->area = __vmalloc(AREA, GFP_KERNEL_ACCOUNT), line = __LINE__;
	for (i = 0; i < AREA; i += PAGE_SIZE)
		record("vmalloc", run->area + i, PAGE_SIZE, line, vmalloc_to_page(run->area + i), cgroup);
}

static void charged_percpu(struct run *run, const char *cgroup)
{
	int i, line;

	for (i = 0; i < COUNTERS; i++)
		run->counters[i] = alloc_percpu_gfp(struct charged_counter, GFP_KERNEL_ACCOUNT), line = __LINE__;
	for (i = 0; i < COUNTERS; i++)
		record("percpu", (__force void *)run->counters[i], sizeof(struct charged_counter), line, NULL, cgroup);
}

static int charged_run(const char *value, const struct kernel_param *kp)
{
	struct run *run;
	char cgroup[64];
	int node;

	if (sscanf(value, "%d %63s", &node, cgroup) != 2 || nr_runs == RUNS || !node_online(node))
		return -EINVAL;
	run = kzalloc(sizeof(*run), GFP_KERNEL);
	if (!run)
		return -ENOMEM;
	runs[nr_runs++] = run;
	charged_objects(run, node, cgroup);
	charged_pages(run, node, cgroup);
	charged_area(run, cgroup);
	charged_percpu(run, cgroup);
	return 0;
}

static const struct kernel_param_ops run_ops = { .set = charged_run };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "NODE and CGROUP: allocate on that node, for the writing task");

static int __init charged_init(void)
{
	cache = kmem_cache_create("charged_cache", sizeof(struct charged_object), 0, SLAB_ACCOUNT, NULL);
	return cache ? 0 : -ENOMEM;
}
module_init(charged_init);

MODULE_DESCRIPTION("Accounted memory of several memory cgroups on several nodes");
MODULE_LICENSE("GPL");
