# SPDX-License-Identifier: LGPL-2.1-or-later
"""Results for programs: JSON and CSV, one file for each command.

Records are made of results, and hold exact numbers; what nothing tells is None. docs/json.md,
docs/report-json.md and docs/triage-json.md describe them.
"""
