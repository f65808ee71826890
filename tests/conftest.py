# SPDX-License-Identifier: LGPL-2.1-or-later
"""``--lab`` also runs the tests that boot a virtual machine."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lab", action="store_true", help="also run tests/lab, which boots guests")


def pytest_ignore_collect(collection_path, config) -> bool | None:
    return True if collection_path.name == "lab" and not config.getoption("--lab") else None
