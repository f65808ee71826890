# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sessions on opened dumps: the only place that joins the layers."""

from .session import HUGE_PAGE, Session

__all__ = ("HUGE_PAGE", "Session")
