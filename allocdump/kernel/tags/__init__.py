# SPDX-License-Identifier: LGPL-2.1-or-later
"""Code tags: where they lie, what they count, what refers to them."""
