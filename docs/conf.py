# SPDX-License-Identifier: LGPL-2.1-or-later
"""Settings of Sphinx: see scripts/docs."""

import re

from sphinx.application import Sphinx

import allocdump

project = "allocdump"
author = "the allocdump developers"
version = release = allocdump.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.extlinks"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_copy_source = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
extlinks = {"linux": ("https://elixir.bootlin.com/linux/latest/source/%s", "%s")}
"""As drgn's docstrings have it."""

_OUTSIDE = re.compile(r"\[([^]]+)\]\((?:\.\./)+((?:scripts|testdata)/[^)]+)\)")


def _name_files_outside(_: Sphinx, __: str, source: list[str]) -> None:
    """Links to the repository's other files become their names: they are not among the pages."""
    source[0] = _OUTSIDE.sub(r"\1 (`\2`)", source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _name_files_outside)
