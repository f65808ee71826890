# SPDX-License-Identifier: LGPL-2.1-or-later
"""Analyses: pure functions of frozen inputs."""
