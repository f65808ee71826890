/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LABTRUTH_H
#define LABTRUTH_H

/*
 * Append one line to the records, which become truth.allocations. The size is
 * what the caller asked for; line is the source line of the allocation, thus
 * the one its tag names. The pfn is -1 where an allocation has none of its own.
 */
void labtruth_record(const char *kind, const volatile void *address, size_t size,
		     int line, bool live, long pfn, const char *module);

#define LABTRUTH_RECORD(kind, address, size, line, live, pfn)			\
	labtruth_record(kind, (const volatile void *)(address), size, line, live, pfn, KBUILD_MODNAME)

#endif
