# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exceptions as one sentence and an exit code."""

from __future__ import annotations

import pytest
from drgn import FaultError

from allocdump.cli.failures import EXIT_INTERNAL, explain
from allocdump.errors import DamagedError, TypesError
from allocdump.kernel.layouts import CodeTags, UnknownLayoutError

from ..fakekernel import FakeKernel


def of_a_kernel_of_tomorrow() -> Exception:
    fake = FakeKernel()
    with pytest.raises(LookupError) as error:
        fake.prog.type("struct codetag").member("place")
    return error.value


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (FaultError("Excluded page", 0x1000), "copy it again"),
        (UnknownLayoutError(f"{CodeTags.structure()}: new"), "other commands may work"),
        (of_a_kernel_of_tomorrow(), "other commands may work"),
    ],
)
def test_advice_is_for_the_cause(error: Exception, advice: str) -> None:
    sentence, code = explain(error)
    assert advice in sentence
    assert code == DamagedError.exit_code


def test_types_in_circles_and_other_recursion() -> None:
    sentence, code = explain(RecursionError("maximum type depth exceeded"))
    assert "--vmlinux" in sentence
    assert code == TypesError.exit_code
    assert explain(RecursionError("maximum recursion depth exceeded"))[1] == EXIT_INTERNAL
