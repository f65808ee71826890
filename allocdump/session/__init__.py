# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sessions on opened dumps: the only place that joins the layers."""

from .session import Session

__all__ = ("Session",)
