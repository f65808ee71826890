# SPDX-License-Identifier: LGPL-2.1-or-later
"""Allocations, and the pointers between them."""
