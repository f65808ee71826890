# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which tests run, where, and which may be skipped.

``--lab`` also runs the tests that boot a virtual machine.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from .dumpdata import FOLDERS, TESTDATA

MAY_BE_SKIPPED = {
    "tests/browser/test_html.py": "needs Debian's packages chromium and chromium-driver",
    "tests/dumps/test_errors.py::test_live_without_kcore_or_root": "this machine may be read",
    "tests/formats/test_pprof.py::test_go_tool_pprof_reads_it": "Go is not installed",
    "tests/test_package.py::test_the_core_is_small": "installed otherwise than by pip",
}
"""Tests that not every machine can run, or files of them, and why.

A test that is skipped otherwise is named at the end; with CI set, that is a failure.
"""


for _name in ("COLUMNS", "LINES"):
    # What a terminal or readline set for this process is not for those that tests start.
    os.environ.pop(_name, None)
    os.unsetenv(_name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lab", action="store_true", help="also run tests/lab, which boots guests")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name == "lab" and not config.getoption("--lab") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all tests of a dump to one worker, which opens it and reads its memory once."""
    folders = {folder.name for folder in FOLDERS}
    for item in items:
        callspec = getattr(item, "callspec", None)
        for value in callspec.params.values() if callspec else ():
            if isinstance(value, Path) and TESTDATA in value.parents:
                value = value.relative_to(TESTDATA).parts[0]
            if isinstance(value, str) and value in folders:
                item.add_marker(pytest.mark.xdist_group(value))
                break


def _skipped(config: pytest.Config) -> Counter[tuple[str, str]]:
    """How often each (test or file, reason) was skipped, in all workers."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    found: Counter[tuple[str, str]] = Counter()
    for report in reporter.stats.get("skipped", ()):
        _, _, reason = report.longrepr
        test = report.nodeid.partition("[")[0].partition("@")[0]
        file = test.partition("::")[0]
        name = file if file in MAY_BE_SKIPPED else test
        found[name, reason.removeprefix("Skipped: ")] += 1
    return found


def _unexpected(config: pytest.Config) -> list[str]:
    return [
        f"{name} ({reason})"
        for name, reason in _skipped(config)
        if MAY_BE_SKIPPED.get(name) != reason
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Workers of xdist have no report of their own.
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and os.environ.get("CI") and _unexpected(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for (name, reason), count in _skipped(config).items():
        terminalreporter.write_line(f"Skipped: {name}: {count}, {reason}")
    for test in _unexpected(config):
        terminalreporter.write_line(f"May not be skipped: {test}", red=True)
