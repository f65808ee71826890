// SPDX-License-Identifier: GPL-2.0
/*
 * Forgets its memory when it is unloaded: the module goes, and with it its
 * report, but not what it allocated.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "labtruth.h"

#define PAGES 512
#define OBJECTS 500
#define OBJECT_SIZE 200

static struct page *pages[PAGES];
static void *objects[OBJECTS];

static void leaked_pages(void)
{
	int i, line;

	for (i = 0; i < PAGES; i++)
		pages[i] = alloc_page(GFP_KERNEL), line = __LINE__;
	for (i = 0; i < PAGES; i++)
		LABTRUTH_RECORD("page", page_address(pages[i]), PAGE_SIZE, line, true, page_to_pfn(pages[i]));
}

static void leaked_objects(void)
{
	int i, line;

	for (i = 0; i < OBJECTS; i++)
		objects[i] = kmalloc(OBJECT_SIZE, GFP_KERNEL), line = __LINE__;
	for (i = 0; i < OBJECTS; i++)
		LABTRUTH_RECORD("kmalloc", objects[i], OBJECT_SIZE, line, true, -1);
}

static int __init leaked_init(void)
{
	leaked_pages();
	leaked_objects();
	return 0;
}
module_init(leaked_init);

static void __exit leaked_exit(void)
{
}
module_exit(leaked_exit);

MODULE_DESCRIPTION("Leaves pages and objects behind when unloaded");
MODULE_LICENSE("GPL");
