// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is held in one known way, and memory whose last pointer was
 * dropped. Every case is a function, hold_* or lose_*, and so has sites of its
 * own; what holds it is the variable held_*, or the part of the kernel that the
 * comment names.
 */
#include <linux/completion.h>
#include <linux/gfp.h>
#include <linux/idr.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/panic_notifier.h>
#include <linux/percpu.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "labtruth.h"

#define MANY 48
#define FEW 16
#define FAR (3600 * HZ)

/* A tag has the line that the whole macro call starts on, and so has __LINE__. */
#define OBJECT(size, state) ({							\
	void *object = kzalloc(size, GFP_KERNEL);				\
	LABTRUTH_RECORD_STATE("kmalloc", object, size, __LINE__, state, -1);	\
	object; })
#define PAGE(order, state) ({							\
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_COMP, order);	\
	LABTRUTH_RECORD_STATE((order) ? "compound" : "page", page_address(page),	\
			      PAGE_SIZE << (order), __LINE__, state, page_to_pfn(page));	\
	page; })
#define AREA(size, state) ({							\
	void *area = vzalloc(size);						\
	LABTRUTH_RECORD_STATE("vmalloc", area, size, __LINE__, state, -1);	\
	area; })
#define PERCPU(type, state) ({							\
	type __percpu *counters = alloc_percpu(type);				\
	LABTRUTH_RECORD_STATE("percpu", counters, sizeof(type), __LINE__, state, -1);	\
	counters; })

static void sleep_forever(void)
{
	for (;;)
		schedule_timeout_idle(MAX_SCHEDULE_TIMEOUT);
}

/* Nothing that earlier calls left in dead parts of this stack survives this. */
static noinline void forget(int depth)
{
	char bytes[1024];

	memset(bytes, 0, sizeof(bytes));
	barrier_data(bytes);
	if (depth)
		forget(depth - 1);
	barrier();
}

/* Held. Variables that nobody reads would not exist if not for WRITE_ONCE(). */

static void **held_area;

static noinline void hold_in_vmalloc(void)
{
	void **area = AREA(4 * PAGE_SIZE, "held");
	int i;

	WRITE_ONCE(held_area, area);
	for (i = 0; i < MANY; i++)
		area[i * 32 + 5] = OBJECT(40, "held");
}

/* The module knows the struct page alone. */
static struct page *held_page;

static noinline void hold_in_page(void)
{
	struct page *page = PAGE(0, "held");
	void **words = page_address(page);
	int i;

	WRITE_ONCE(held_page, page);
	for (i = 0; i < MANY; i++)
		words[i * 8 + 3] = OBJECT(56, "held");
}

/* The earlier blocks fill the first chunk, where nothing has a tag; with larger pages it is larger. */
struct held_block {
	void *objects[2];
	char bytes[2032];
};

static struct held_block __percpu *held_percpu[PAGE_SIZE > 4096 ? 64 : 24];

static noinline void hold_in_percpu(void)
{
	int i, cpu;

	for (i = 0; i < ARRAY_SIZE(held_percpu); i++) {
		struct held_block __percpu *blocks = PERCPU(struct held_block, "held");

		WRITE_ONCE(held_percpu[i], blocks);
		for_each_possible_cpu(cpu) {
			struct held_block *block = per_cpu_ptr(blocks, cpu);

			block->objects[0] = OBJECT(72, "held");
			block->objects[1] = OBJECT(80, "held");
		}
	}
}

static DEFINE_XARRAY(held_xarray);

static noinline void hold_in_xarray(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		xa_store(&held_xarray, i * 100, OBJECT(88, "held"), GFP_KERNEL);
}

static DEFINE_IDR(held_idr);

static noinline void hold_in_idr(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		idr_alloc(&held_idr, OBJECT(104, "held"), 0, 0, GFP_KERNEL);
}

static DEFINE_MTREE(held_maple_tree);

static noinline void hold_in_maple_tree(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		mtree_store(&held_maple_tree, i * 10, OBJECT(112, "held"), GFP_KERNEL);
}

struct held_node {
	char bytes[48];
	struct rb_node node;
	int key;
};

static struct rb_root held_rbtree = RB_ROOT;

static void insert(struct held_node *new)
{
	struct rb_node **link = &held_rbtree.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (new->key < rb_entry(parent, struct held_node, node)->key)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &held_rbtree);
}

static noinline void hold_in_rbtree(void)
{
	int i;

	for (i = 0; i < MANY; i++) {
		struct held_node *new = OBJECT(sizeof(*new), "held");

		new->key = i * 37 % MANY;
		insert(new);
	}
}

struct held_member {
	char bytes[100];
	struct hlist_node link;
};

static HLIST_HEAD(held_hlist);

static noinline void hold_in_hlist(void)
{
	int i;

	for (i = 0; i < MANY; i++) {
		struct held_member *new = OBJECT(sizeof(*new), "held");

		hlist_add_head(&new->link, &held_hlist);
	}
}

/* Tags in the low bits, as many parts of the kernel have them. */
static unsigned long held_tagged[MANY];

static noinline void hold_tagged(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		WRITE_ONCE(held_tagged[i], (unsigned long)OBJECT(136, "held") | (i & 7));
}

/* In the wheel of timers, which is per-CPU memory of the kernel. */
struct held_timer {
	char bytes[120];
	struct timer_list timer;
};

static void timer_function(struct timer_list *timer)
{
}

static noinline void hold_by_timer(void)
{
	int i;

	for (i = 0; i < MANY; i++) {
		struct held_timer *new = OBJECT(sizeof(*new), "held");

		timer_setup(&new->timer, timer_function, 0);
		mod_timer(&new->timer, jiffies + FAR + i * HZ);
	}
}

/* One at a time, and the first never ends. */
static struct workqueue_struct *held_queue;

static void blocking_function(struct work_struct *work)
{
	sleep_forever();
}

static DECLARE_WORK(blocking, blocking_function);

static void work_function(struct work_struct *work)
{
}

/* In the queue's list of inactive work. */
struct held_work {
	char bytes[140];
	struct work_struct work;
};

static noinline void hold_by_work(void)
{
	int i;

	for (i = 0; i < MANY; i++) {
		struct held_work *new = OBJECT(sizeof(*new), "held");

		INIT_WORK(&new->work, work_function);
		queue_work(held_queue, &new->work);
	}
}

/* In the wheel of timers. */
struct held_delayed_work {
	char bytes[160];
	struct delayed_work work;
};

static noinline void hold_by_delayed_work(void)
{
	int i;

	for (i = 0; i < MANY; i++) {
		struct held_delayed_work *new = OBJECT(sizeof(*new), "held");

		INIT_DELAYED_WORK(&new->work, work_function);
		queue_delayed_work(held_queue, &new->work, FAR);
	}
}

/*
 * In a CPU's list of RCU callbacks. Only there at the crash: with every other
 * CPU stopped by panic() no grace period ends, so that is when they are put in.
 */
struct held_rcu {
	char bytes[200];
	struct rcu_head head;
};

static struct held_rcu *before_panic[MANY];

static noinline void hold_by_rcu(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		before_panic[i] = OBJECT(sizeof(struct held_rcu), "held");
}

static void rcu_function(struct rcu_head *head)
{
}

static int at_panic(struct notifier_block *block, unsigned long event, void *message)
{
	int i;

	for (i = 0; i < MANY; i++) {
		call_rcu(&before_panic[i]->head, rcu_function);
		before_panic[i] = NULL;
	}
	return NOTIFY_DONE;
}

static struct notifier_block at_panic_block = { .notifier_call = at_panic };

/* In local variables of a task that sleeps. */
static noinline int hold_on_stack(void *ready)
{
	void *volatile objects[MANY];
	int i;

	for (i = 0; i < MANY; i++)
		objects[i] = OBJECT(264, "held");
	complete(ready);
	sleep_forever();
	return (long)objects[0];
}

static int sleeping_function(void *data)
{
	sleep_forever();
	return 0;
}

/* As the data of a task that does not even look at it. */
static noinline void hold_by_kthread(void)
{
	int i;

	for (i = 0; i < 4; i++)
		kthread_run(sleeping_function, OBJECT(280, "held"), "reach/%d", i);
}

/* Lost. */

static noinline void lose_objects(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		OBJECT(296, "lost");
}

static noinline void lose_pages(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		PAGE(0, "lost");
}

static noinline void lose_compound_pages(void)
{
	int i;

	for (i = 0; i < FEW; i++)
		PAGE(2, "lost");
}

static noinline void lose_areas(void)
{
	int i;

	for (i = 0; i < FEW; i++)
		AREA(3 * PAGE_SIZE, "lost");
}

struct lost_block {
	char bytes[2048];
};

static noinline void lose_percpu(void)
{
	int i;

	for (i = 0; i < FEW; i++)
		PERCPU(struct lost_block, "lost");
}

/* The lost page has the only pointer to the area, and so on. */
static noinline void lose_nested(void)
{
	struct page *page = PAGE(0, "lost");
	void **area = AREA(PAGE_SIZE, "lost");
	struct lost_block __percpu *blocks = PERCPU(struct lost_block, "lost");
	int cpu;

	*(void **)page_address(page) = area;
	area[7] = (void __force *)blocks;
	for_each_possible_cpu(cpu)
		*(void **)per_cpu_ptr(blocks, cpu) = OBJECT(328, "lost");
}

struct lost_link {
	struct lost_link *next;
	char bytes[320];
};

/* Each points to the next, the last to the first. */
static noinline void lose_ring(void)
{
	struct lost_link *first = NULL, *last = NULL;
	int i;

	for (i = 0; i < MANY; i++) {
		struct lost_link *new = OBJECT(sizeof(*new), "lost");

		new->next = first;
		first = new;
		if (!last)
			last = new;
	}
	last->next = first;
}

/* Nothing points to the first. */
static noinline void lose_chain(void)
{
	struct lost_link *first = NULL;
	int i;

	for (i = 0; i < MANY; i++) {
		struct lost_link *new = OBJECT(sizeof(*new) + 16, "lost");

		new->next = first;
		first = new;
	}
}

struct lost_head {
	char bytes[368];
	void *children[15];
};

static noinline void lose_trees(void)
{
	int i, j;

	for (i = 0; i < 4; i++) {
		struct lost_head *head = OBJECT(sizeof(*head), "lost");

		for (j = 0; j < ARRAY_SIZE(head->children); j++)
			head->children[j] = OBJECT(504, "lost");
	}
}

struct lost_table {
	char bytes[520];
	struct xarray entries;
};

/* The tree's own nodes, whose sites are the kernel's, are lost with it. */
static noinline void lose_xarray(void)
{
	struct lost_table *table = OBJECT(sizeof(*table), "lost");
	int i;

	xa_init(&table->entries);
	for (i = 0; i < MANY; i++)
		xa_store(&table->entries, i * 100, OBJECT(600, "lost"), GFP_KERNEL);
}

struct lost_list {
	char bytes[616];
	struct list_head head;
};

/* An empty list points to itself. */
static noinline void lose_lists(void)
{
	int i;

	for (i = 0; i < FEW; i++) {
		struct lost_list *new = OBJECT(sizeof(*new), "lost");

		INIT_LIST_HEAD(&new->head);
	}
}

static void (*const cases[])(void) = {
	hold_in_vmalloc, hold_in_page, hold_in_percpu, hold_in_xarray, hold_in_idr,
	hold_in_maple_tree, hold_in_rbtree, hold_in_hlist, hold_tagged, hold_by_timer,
	hold_by_work, hold_by_delayed_work, hold_by_rcu, hold_by_kthread,
	lose_objects, lose_pages, lose_compound_pages, lose_areas, lose_percpu, lose_ring,
	lose_chain, lose_trees, lose_xarray, lose_lists, lose_nested,
};

static int __init reach_init(void)
{
	DECLARE_COMPLETION_ONSTACK(ready);
	int i;

	held_queue = alloc_ordered_workqueue("reach", 0);
	if (!held_queue)
		return -ENOMEM;
	queue_work(held_queue, &blocking);
	kthread_run(hold_on_stack, &ready, "reach/stack");
	wait_for_completion(&ready);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		cases[i]();
		forget(8);
	}
	return atomic_notifier_chain_register(&panic_notifier_list, &at_panic_block);
}
module_init(reach_init);

MODULE_DESCRIPTION("Holds memory in known ways, and loses some");
MODULE_LICENSE("GPL");
