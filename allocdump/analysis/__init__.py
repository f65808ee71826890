# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reasoning about what was read: pure functions of frozen inputs."""
