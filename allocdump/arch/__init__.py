# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processors: the size of pages, and all else in which architectures differ."""
