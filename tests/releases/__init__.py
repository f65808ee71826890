# SPDX-License-Identifier: LGPL-2.1-or-later
"""Releases of Linux: facts of their structures, in docs/layouts/, and kernels made from them."""
