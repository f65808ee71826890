# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks that the kernel kept of allocations: the depot, and what refers to it."""
