// SPDX-License-Identifier: GPL-2.0
/*
 * Leaves the kernel's own allocation report inside the dump, as it is at the
 * moment of the crash.
 *
 * /proc/allocinfo read from user space cannot be that: reading allocates, and
 * the kernel goes on until it crashes. Here the text is made when nothing else
 * runs any more, by the very functions behind /proc/allocinfo, into memory
 * that was allocated long before.
 */
#include <linux/codetag.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/panic_notifier.h>
#include <linux/seq_file.h>
#include <linux/stop_machine.h>
#include <linux/version.h>

#include "labtruth.h"

/*
 * Addresses of what modules cannot link against, from /proc/kallsyms. All of
 * the first four or none: without them there is no text, only records.
 */
static unsigned long alloc_tag_cttype;
module_param(alloc_tag_cttype, ulong, 0444);
static unsigned long allocinfo_seq_op;
module_param(allocinfo_seq_op, ulong, 0444);
static unsigned long codetag_get_ct_iter_at;
module_param_named(codetag_get_ct_iter, codetag_get_ct_iter_at, ulong, 0444);
static unsigned long codetag_next_ct_at;
module_param_named(codetag_next_ct, codetag_next_ct_at, ulong, 0444);
static unsigned long codetag_register_type_at;
module_param_named(codetag_register_type, codetag_register_type_at, ulong, 0444);

struct buffer {
	char *text;
	size_t size, used;
};

static struct buffer text = { .size = 320 << 10 };
/* Room for the report: a kernel of a distribution has thousands of sites. */
module_param_named(text_size, text.size, ulong, 0444);
static struct buffer records = { .size = 256 << 10 };
static DEFINE_SPINLOCK(records_lock);
static bool filled;

void labtruth_record(const char *kind, const volatile void *address, size_t size,
		     int line, const char *state, long pfn, const char *module)
{
	unsigned long flags;

	spin_lock_irqsave(&records_lock, flags);
	records.used += scnprintf(records.text + records.used, records.size - records.used,
				  "%s 0x%lx %zu %d %s %ld %s\n", kind, (unsigned long)address,
				  size, line, state, pfn, module);
	spin_unlock_irqrestore(&records_lock, flags);
}
EXPORT_SYMBOL_GPL(labtruth_record);

void labtruth_record_charged(const char *kind, const volatile void *address, size_t size, int line,
			     const char *state, long pfn, const char *module, int node,
			     const char *cgroup)
{
	unsigned long flags;

	spin_lock_irqsave(&records_lock, flags);
	records.used += scnprintf(records.text + records.used, records.size - records.used,
				  "%s 0x%lx %zu %d %s %ld %s %d %s\n", kind, (unsigned long)address,
				  size, line, state, pfn, module, node, cgroup);
	spin_unlock_irqrestore(&records_lock, flags);
}
EXPORT_SYMBOL_GPL(labtruth_record_charged);

/*
 * What the kernel's show function takes as its private data starts with the
 * iterator; further on, at a place that differs between kernels, comes the flag
 * that asks for the header. No other member is used by show, so every byte of
 * the rest says "true".
 */
static struct {
	struct codetag_iterator iter;
	char rest[512];
} private;

static struct seq_file seq;

static void fill(void)
{
	struct codetag_iterator (*get_ct_iter)(struct codetag_type *) = (void *)codetag_get_ct_iter_at;
	struct codetag *(*next_ct)(struct codetag_iterator *) = (void *)codetag_next_ct_at;
	const struct seq_operations *op = (void *)allocinfo_seq_op;

	if (filled || !text.text)
		return;
	filled = true;

	seq.buf = text.text;
	seq.size = text.size;
	memset(private.rest, true, sizeof(private.rest));
	private.iter = get_ct_iter(*(struct codetag_type **)alloc_tag_cttype);
	while (next_ct(&private.iter))
		op->show(&seq, &private);
	pr_emerg("labtruth: %zu bytes of text, %zu bytes of records\n", seq.count, records.used);
}

static int fill_and_crash(void *unused)
{
	fill();
	panic("labtruth");
}

static int crash_set(const char *value, const struct kernel_param *param)
{
	bool crash;
	int error = kstrtobool(value, &crash);

	if (!error && crash)
		stop_machine(fill_and_crash, NULL, NULL);
	return error;
}

static const struct kernel_param_ops crash_ops = { .set = crash_set };
module_param_cb(crash, &crash_ops, NULL, 0200);
MODULE_PARM_DESC(crash, "stop every CPU, write the report, panic");

/* For panics of the kernel itself; boot with crash_kexec_post_notifiers. */
static int at_panic(struct notifier_block *block, unsigned long event, void *message)
{
	fill();
	return NOTIFY_DONE;
}

static struct notifier_block at_panic_block = {
	.notifier_call = at_panic,
	.priority = INT_MIN,	/* the last one, so that nothing allocates after it */
};

/*
 * A second code tag type. Of what vmlinux has between __start_NAME and
 * __stop_NAME, kernel parameters are as large as allocation tags but nothing
 * like them. No module can be loaded after this, for it would have to have
 * such a section with such symbols too.
 */
static int register_type_set(const char *value, const struct kernel_param *param)
{
	struct codetag_type *(*register_type)(const struct codetag_type_desc *) = (void *)codetag_register_type_at;
	const struct codetag_type_desc desc = {
		.section = "__param",
		.tag_size = sizeof(struct kernel_param),
	};

	return register_type ? PTR_ERR_OR_ZERO(register_type(&desc)) : -EOPNOTSUPP;
}

static const struct kernel_param_ops register_type_ops = { .set = register_type_set };
module_param_cb(register_type, &register_type_ops, NULL, 0200);
MODULE_PARM_DESC(register_type, "register a second code tag type");

/* Exact pages are split, so that each one has a reference of its own. */
static int __init buffer_allocate(struct buffer *buffer)
{
	buffer->text = alloc_pages_exact(buffer->size, GFP_KERNEL | __GFP_ZERO);
	return buffer->text ? 0 : -ENOMEM;
}

static int __init labtruth_init(void)
{
	bool have_symbols = alloc_tag_cttype && *(void **)alloc_tag_cttype && allocinfo_seq_op &&
			    codetag_get_ct_iter_at && codetag_next_ct_at;
	int error = buffer_allocate(&records);

	if (!error && have_symbols)
		error = buffer_allocate(&text);
	if (error)
		return error;

	atomic_notifier_chain_register(&panic_notifier_list, &at_panic_block);
	pr_info("labtruth: text phys=0x%llx size=0x%zx records phys=0x%llx size=0x%zx\n",
		text.text ? (u64)virt_to_phys(text.text) : 0, text.text ? text.size : 0,
		(u64)virt_to_phys(records.text), records.size);
	return 0;
}
module_init(labtruth_init);

MODULE_DESCRIPTION("Leaves the exact allocation report in the dump");
MODULE_LICENSE("GPL");
