# SPDX-License-Identifier: LGPL-2.1-or-later
"""Formats for machines: allocinfo, saved reports, flame graphs, pprof."""
