# SPDX-License-Identifier: LGPL-2.1-or-later
"""Helpers for drgn: ``from allocdump.helpers import *`` (see :mod:`allocdump.drgn.helpers`)."""

from .drgn.helpers import *  # noqa: F403
from .drgn.helpers import __all__ as __all__
