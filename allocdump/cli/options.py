# SPDX-License-Identifier: LGPL-2.1-or-later
"""Options that commands share, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import numpy.typing as npt

from ..analysis.report import Pattern, Report
from ..progress import Phase
from .live import choose_source, held_output, hung_up_is_an_error, reading
from .output import warn, wide_option
from .progress import progress

if TYPE_CHECKING:
    from ..session import Session


class Size(click.ParamType[int]):
    """A number of bytes: ``4096``, ``64K``, ``1.5MiB``, ``2G``. Units are powers of 1024."""

    name = "size"
    _pattern = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]?)(?:i?B)?", re.IGNORECASE)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = self._pattern.fullmatch(value.strip())
        if not found:
            self.fail(f"{value!r} is not a size; write it as 4096, 64K or 1.5M.", param, ctx)
        power = " KMGTPE".index(found[2].upper() or " ")
        return int(float(found[1]) * 1024**power)


OPENING = ("core", "live", "qemu", "pause", "vmlinux", "debug_info")
"""The parameters of :func:`opens_dump`; where a program is open already, there are none of them."""


def opens_dump(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument CORE and all that tells how to open it.

    The command's first parameter is then the opened :class:`allocdump.session.Session`. Within a
    drgn session, the context's object is a function that returns it.
    """

    @click.argument(
        "core",
        required=False,
        metavar="CORE",
        help="A vmcore (kdump-compressed or ELF) or /proc/kcore.",
    )
    @click.option("--live", is_flag=True, help="Read the running kernel (/proc/kcore) as root.")
    @click.option("--qemu", metavar="SOCKET", help="Read a QEMU guest over its QMP socket.")
    @click.option("--pause", is_flag=True, help="With --qemu: stop the guest while it is read.")
    @click.option(
        "--vmlinux",
        multiple=True,
        metavar="FILE",
        help="Take types from the DWARF in this kernel image or module; may be repeated.",
    )
    @click.option(
        "--debug-info",
        type=click.Choice(["auto", "btf", "dwarf"]),
        default="auto",
        show_default=True,
        help="btf: from the dump itself. dwarf: from --vmlinux, or where drgn looks for it."
        " auto: --vmlinux if given, else btf, else where drgn looks.",
    )
    @wraps(command)
    def with_dump(**options: Any) -> Any:
        how = {name: options.pop(name) for name in OPENING if name in options}
        session: Callable[[], Session] | None = click.get_current_context().obj
        if session:
            dump = session()
            with reading(dump):
                return command(dump, **options)
        how["core"] = choose_source(
            how["core"], how.pop("live"), how["qemu"], how["pause"], options
        )
        from .. import open as open_dump

        with ExitStack() as around:
            if how["pause"]:
                around.enter_context(held_output())
            if how["qemu"] is not None:
                around.enter_context(hung_up_is_an_error())
            with progress(Phase.OPENING):
                dump = around.enter_context(open_dump(**how))
            warn(dump.notices)
            around.enter_context(reading(dump))
            return command(dump, **options)

    return with_dump


site_filter = click.option(
    "-F",
    "--filter",
    "--site",
    "filters",
    multiple=True,
    metavar="GLOB",
    help="Only sites whose file, file:line, function or module matches; file=GLOB,"
    " function=GLOB and module=GLOB match just that ('module=' is the kernel itself)."
    " May be repeated: all must match.",
)
"""The parameter ``filters``: see :class:`allocdump.analysis.report.Pattern`."""


def matching(report: Report, filters: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Mark the sites of a report that match all *filters*: shape (number of sites,)."""
    chosen = np.ones(len(report.sites), np.bool_)
    for text in filters:
        chosen &= Pattern(text).matches(report.sites)
    return chosen


def format_option(*formats: str, help: str = "") -> Callable[[Callable[..., Any]], Any]:
    """The parameter ``format_``, by default the first of *formats*; and ``--wide``."""
    option = click.option(
        "-f",
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help=help or None,
    )
    return lambda command: option(wide_option(command))


top_option = click.option(
    "-n", "--top", type=click.IntRange(1), metavar="N", help="Show the first N rows."
)
"""The parameter ``top``."""

group_option = click.option(
    "-g",
    "--group-by",
    type=click.Choice(["site", "function", "file", "directory", "module"]),
    default="site",
    show_default=True,
    help="Add up sites.",
)
"""The parameter ``group_by``."""

exact_option = click.option("-e", "--exact", is_flag=True, help="Sizes in bytes.")
"""The parameter ``exact``."""


def listing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of commands that list things: ``as_list``, ``limit``, ``format_``, ``exact``."""
    for option in (
        exact_option,
        format_option("table", "json", "csv", help="json: one object per line."),
        click.option("-n", "--limit", type=click.IntRange(1), metavar="N", help="Only N rows."),
        click.option("-l", "--list", "as_list", is_flag=True, help="Each one, not their sums."),
    ):
        command = option(command)
    return command
