# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine around its memory: log, tasks, cgroups, zones."""
