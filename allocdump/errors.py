# SPDX-License-Identifier: LGPL-2.1-or-later
"""Errors that are shown as one sentence, and the exit code of each kind.

Every message is one sentence for the person with the dump, and says what to do.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class AllocdumpError(Exception):
    """Base of all errors that are shown to the user as one sentence."""

    exit_code = 1


class DumpError(AllocdumpError):
    """The core cannot be opened: missing, not a dump, packed, truncated."""

    exit_code = 3


class TypesError(AllocdumpError):
    """No usable types or symbols: no BTF, no kallsyms, or a vmlinux of another kernel."""

    exit_code = 4


class ProfilingError(AllocdumpError):
    """The kernel kept no allocation profile: not built in, or never enabled."""

    exit_code = 5


class DamagedError(AllocdumpError):
    """The dump opens, but lacks the very memory that the answer would come from."""

    exit_code = 6


class UnsupportedError(AllocdumpError):
    """The kernel's architecture or page size is none that memory is read of."""

    exit_code = 6


class ExtraError(AllocdumpError):
    """A library that only some commands need is not installed."""

    exit_code = 2


class OutputError(AllocdumpError):
    """The output cannot be written as asked: no such place, or a terminal."""

    exit_code = 2


class FilterError(AllocdumpError, ValueError):
    """A filter that is none, or that nothing matches."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str], before: str = "", after: str = "") -> str:
    """The end of a sentence on a mistyped word: a question that names what is nearest.

    :param before: stands before each of the names
    :param after: stands behind each
    :return: ``; did you mean 'a' or 'b'?``, or nothing if nothing is near
    """
    near = [f"{before}{name}{after}" for name in difflib.get_close_matches(word, known)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a failing import within into a sentence that says what to install.

    :param name: of the extra in pyproject.toml that brings the libraries
    :raises ExtraError: if a library is missing
    """
    try:
        yield
    except ModuleNotFoundError as e:
        raise ExtraError(
            f"This needs the Python library {e.name}: install it with"
            f" pip install 'allocdump[{name}]'."
        ) from None
