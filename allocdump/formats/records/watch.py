# SPDX-License-Identifier: LGPL-2.1-or-later
"""A round of watching as one line of JSON."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from ...analysis.growth import Growth
from .json_text import Record, line
from .site import left_out_records, site_record


def as_json(growth: Growth, rows: npt.NDArray[np.intp], time: datetime) -> str:
    """The sums over all sites, and the given rows."""
    sites = growth.sites
    return line(
        {
            "schema": "allocdump.watch",
            "version": 3,
            "round": growth.round,
            "time": time.isoformat(),
            "elapsed": round(growth.elapsed, 3),
            "sites": len(sites),
            "total": {
                "bytes": growth.now.bytes,
                "calls": growth.now.calls,
                "growth_bytes": growth.total_bytes,
                "growth_calls": growth.total_calls,
                "left_out": left_out_records(growth.now),
            },
            "rows": [_row(growth, i) for i in rows.tolist()],
        }
    )


def _row(growth: Growth, i: int) -> Record:
    sites = growth.sites
    return {
        **site_record(sites.name(i)),
        "unloaded": bool(sites.unloaded[i]),
        "bytes": int(sites.bytes[i]),
        "calls": int(sites.calls[i]),
        "growth_bytes": int(growth.bytes[i]),
        "growth_calls": int(growth.calls[i]),
        "last_growth_bytes": int(growth.last[i]),
    }
