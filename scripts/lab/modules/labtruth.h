/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LABTRUTH_H
#define LABTRUTH_H

/*
 * Append one line to the records, which become truth.allocations. The size is
 * what the caller asked for; line is the source line of the allocation, thus
 * the one its tag names; state is one word. The pfn is -1 where an allocation
 * has none of its own. Records are text: no word of them is a pointer.
 */
void labtruth_record(const char *kind, const volatile void *address, size_t size,
		     int line, const char *state, long pfn, const char *module);

/* The same, with the NUMA node that it lies on, -1 for many, and the memory cgroup that is charged. */
void labtruth_record_charged(const char *kind, const volatile void *address, size_t size, int line,
			     const char *state, long pfn, const char *module, int node,
			     const char *cgroup);

#define LABTRUTH_RECORD_STATE(kind, address, size, line, state, pfn)		\
	labtruth_record(kind, (const volatile void *)(address), size, line, state, pfn, KBUILD_MODNAME)

#define LABTRUTH_RECORD(kind, address, size, line, live, pfn)			\
	LABTRUTH_RECORD_STATE(kind, address, size, line, (live) ? "live" : "freed", pfn)

#endif
