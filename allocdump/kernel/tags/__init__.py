# SPDX-License-Identifier: LGPL-2.1-or-later
"""Code tags, their counters, and the references to them."""
