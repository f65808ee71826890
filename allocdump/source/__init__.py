# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a path to bytes, types and symbols."""
