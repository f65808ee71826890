# SPDX-License-Identifier: LGPL-2.1-or-later
"""Start of allocdump.pyz: names what the host lacks, then runs the command."""

import sys
from importlib import import_module

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("allocdump: Python 3.11 or later is needed: run it with a newer one.")
for library in ("drgn", "numpy"):
    try:
        import_module(library)
    except ImportError:
        sys.exit(
            f"allocdump: The Python library {library} is needed: install the package"
            f" python3-{library}, or use pip install {library}."
        )

from allocdump.cli import main  # noqa: E402

main()
