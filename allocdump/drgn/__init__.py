# SPDX-License-Identifier: LGPL-2.1-or-later
"""Additions of allocdump to drgn's sessions."""
