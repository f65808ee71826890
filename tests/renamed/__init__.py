# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kernels of tomorrow: each name that commands read is another one, and they say so."""
