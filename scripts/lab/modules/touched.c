// SPDX-License-Identifier: GPL-2.0
/*
 * Reads objects that it has freed, and behind the ends of others, so that KASAN
 * prints where each was allocated, and freed.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "labtruth.h"

#define OBJECTS 8
#define STEP 40

static char *objects[OBJECTS];

static noinline char *allocate(size_t size)
{
	return kmalloc(size, GFP_KERNEL);
}

static noinline void give_back(char *object)
{
	kfree(object);
}

static noinline void touch(char *object, size_t offset)
{
	(void)READ_ONCE(object[offset]);
}

static int __init touched_init(void)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		objects[i] = allocate(24 + i * STEP);
	for (i = 0; i < OBJECTS; i += 2)
		give_back(objects[i]);
	for (i = 0; i < OBJECTS; i++)
		touch(objects[i], i % 2 ? 24 + i * STEP : 0);
	return 0;
}
module_init(touched_init);

static void __exit touched_exit(void)
{
}
module_exit(touched_exit);

MODULE_DESCRIPTION("Reads what it must not, for KASAN");
MODULE_LICENSE("GPL");
