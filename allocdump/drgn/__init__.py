# SPDX-License-Identifier: LGPL-2.1-or-later
"""What allocdump adds to drgn's sessions."""
