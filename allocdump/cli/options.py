# SPDX-License-Identifier: LGPL-2.1-or-later
"""Options that commands share: one name for one thing, wherever it can be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from ..analysis.keys import KEYS
from ..progress import Phase
from .guard import guarded
from .live import held_output, hung_up_is_an_error, reading
from .output import warn, wide_option
from .parameters import Argument, Choice, Keys, Number, Option, Size
from .progress import progress
from .source import choose_source

if TYPE_CHECKING:
    from ..session import Session

_Decorator = Callable[[Callable[..., Any]], Any]


OPENING = ("core", "second", "live", "qemu", "pause", "vmlinux", "debug_info")
"""The parameters of :func:`opens_dump`; where a program is open already, there are none of them."""


def names_dump(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument CORE and all that tells how to open it: :data:`OPENING`.

    A kernel image may stand beside CORE, before or behind it.
    """
    own = getattr(command, "__click_params__", [])
    if not any(isinstance(param, click.Argument) for param in own):
        # Of a command that has other arguments, it is the first of them.
        second = click.argument("second", cls=Argument, required=False, type=click.Path())
        command = second(command)

    @click.argument(
        "core",
        cls=Argument,
        required=False,
        metavar="CORE",
        type=click.Path(),
        explanation="A vmcore (kdump-compressed or ELF) or /proc/kcore; its vmlinux may stand"
        " beside it.",
    )
    @click.option("--live", is_flag=True, help="Read the running kernel (/proc/kcore) as root.")
    @click.option(
        "--qemu",
        metavar="SOCKET",
        type=click.Path(),
        help="Read a QEMU guest over its QMP socket.",
    )
    @click.option("--pause", is_flag=True, help="With --qemu: stop the guest while it is read.")
    @click.option(
        "--vmlinux",
        multiple=True,
        metavar="FILE",
        type=click.Path(),
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
    def named(**options: Any) -> Any:
        return command(**options)

    return named


def opens_dump(command: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`names_dump`, and open it.

    The command's first parameter is then the opened :class:`allocdump.session.Session`. Within a
    drgn session, the context's object is a function that returns it.
    """

    @names_dump
    @wraps(command)
    def with_dump(**options: Any) -> Any:
        how = {name: options.pop(name) for name in OPENING if name in options}
        session: Callable[[], Session] | None = click.get_current_context().obj
        if session:
            dump = session()
            with reading(dump):
                return command(dump, **options)
        how = choose_source(how, options)
        return guarded(how["core"], lambda: opened(how, options))

    def opened(how: dict[str, Any], options: dict[str, Any]) -> Any:
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


def complete_sites(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
    """Names of sites for a shell: see :func:`allocdump.cli.completing.sites`."""
    from .completing import sites

    return sites(ctx, param, incomplete)


def complete_caches(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
    """Names of slab caches for a shell: see :func:`allocdump.cli.completing.caches`."""
    from .completing import caches

    return caches(ctx, param, incomplete)


site_filter = click.option(
    "-F",
    "--filter",
    "filters",
    cls=Option,
    old=["--site"],
    shell_complete=complete_sites,
    multiple=True,
    metavar="GLOB",
    help="Only sites whose file, file:line, function or module matches; file=GLOB,"
    " function=GLOB and module=GLOB match just that ('module=' is the kernel itself)."
    " May be repeated: all must match.",
)
"""The parameter ``filters``: see :func:`allocdump.analysis.filters.matching`."""

_FORMATS = {
    "table": "for a terminal",
    "markdown": "for bug trackers",
    "json": "one document",
    "csv": "for spreadsheets",
    "html": "a page to mail",
    "allocinfo": "as the kernel prints it",
    "folded": "for flame graphs",
    "pprof": "for go tool pprof, Speedscope and Perfetto",
}
_OLD_FORMATS = ("text", "tree")
"""Names that the first format of some commands once had."""


def format_option(*formats: str, default: str | None = "", **special: str) -> _Decorator:
    """The parameter ``format_``; and ``--wide``, which is none.

    :param default: None if it depends; by default, the first of *formats*
    :param special: meanings that differ from the usual ones
    """
    meanings = [f"{name}: {(_FORMATS | special)[name]}." for name in formats]
    option = click.option(
        "-f",
        "--format",
        "format_",
        type=Choice(formats, dict.fromkeys(_OLD_FORMATS, formats[0])),
        default=formats[0] if default == "" else default,
        show_default=default is not None,
        help=" ".join(meanings),
    )
    return lambda command: option(wide_option(command))


LINES = "one object per line"
"""The special meaning of ``json`` where a command can list millions of things."""


def top_option(help: str = "Show the first N rows.", default: int | None = None) -> _Decorator:
    """The parameter ``top``."""
    return click.option(
        "-n",
        "--top",
        cls=Option,
        old=["--limit"],
        type=Number(1),
        default=default,
        show_default=default is not None,
        metavar="N",
        help=help,
    )


_ORDERS = {
    "size": "bytes",
    "calls": "number of allocations",
    "average": "bytes per allocation",
    "growth": "bytes more than before",
    "last": "bytes more than in the round before",
    "after": "bytes now",
    "difference": "bytes that do not agree",
    "name": "file, line and function",
    "address": "as it is in memory",
    "kernel": "as in /proc/allocinfo",
}


def sort_option(*orders: str, default: str = "", help: str = "", **special: str) -> _Decorator:
    """The parameter ``sort``, None by default.

    :param default: for the help; empty is the first of *orders*
    :param special: meanings that differ from the usual ones
    """
    meanings = [f"{name}: {(_ORDERS | special)[name]}." for name in orders]
    meanings.append(f" [default: {default or orders[0]}]")
    return click.option(
        "-s",
        "--sort",
        type=click.Choice(orders),
        help=" ".join(["Order of rows; numbers stand largest first.", *meanings]),
    )


def group_option(*others: str, **special: str) -> _Decorator:
    """The parameter ``group_by``: a tuple of :class:`allocdump.analysis.keys.Key`; or one of
    *others*, which stands alone.

    :param others: what else the command can group by
    :param special: meanings that differ from the usual ones, and those of *others*
    """
    meanings = {name: key.meaning for name, key in KEYS.items()} | special
    words = [f"{name}: {meaning}." for name, meaning in meanings.items()]
    return click.option(
        "-g",
        "--group-by",
        cls=Option,
        old=["--by"],
        type=Keys(KEYS, others),
        default="site",
        show_default=True,
        metavar="KEY[,KEY...]",
        help=" ".join(["Add up by one or more keys.", *words]),
    )


def site_group_option(command: Callable[..., Any]) -> Any:
    """The parameter ``group_by`` where there is nothing but counters: a word."""
    return click.option(
        "-g",
        "--group-by",
        cls=Option,
        old=["--by"],
        type=click.Choice([name for name, key in KEYS.items() if key.of_site]),
        default="site",
        show_default=True,
        help="Add up the sites of each function, file and so on.",
    )(command)


def min_size_option(help: str) -> _Decorator:
    """The parameter ``min_size``, in bytes."""
    return click.option("--min-size", type=Size(), metavar="SIZE", help=help)


exact_option = click.option("-e", "--exact", is_flag=True, help="Show sizes in bytes.")
"""The parameter ``exact``."""

list_option = click.option(
    "-l", "--list", "as_list", is_flag=True, help="List each one instead of their sums."
)
"""The parameter ``as_list``."""
