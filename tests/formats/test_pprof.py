# SPDX-License-Identifier: LGPL-2.1-or-later
"""The profile, read back by the official definition of its format."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from flamegraph_textual.pprof_parser.profile_pb2 import Profile

from allocdump.formats import pprof
from allocdump.formats.stack import KERNEL

from .. import samples
from ..dumpdata import CORES_WITH_TRUTH, name, run, truth

HOSTILE = samples.sites(
    ("mm/slub.c", 9, "new_slab", "", 8192, 2),
    ("<script>alert(1)</script>", 10, "=cmd", "módulo", 2**62, 2**63 - 1),
    ("x.c", 2**32 - 1, "f", "m", -50, 2**64 - 1),
    ("x.c", 1, "f", "m", 0, 0),
)

Site = tuple[str, int, str, str]
"""File, line, function, module."""


def read(raw: bytes) -> tuple[Profile, list[tuple[str, int, str, str, int, int]]]:
    """Sites with their values, as any reader of the format would put them together."""
    profile = Profile.FromString(gzip.decompress(raw))
    text = profile.string_table
    assert text[0] == ""
    mappings = {m.id: m for m in profile.mapping}
    functions = {f.id: f for f in profile.function}
    locations = {at.id: at for at in profile.location}
    assert 0 not in {*mappings, *functions, *locations}
    assert len(locations) == len(profile.location)
    sites = []
    for sample in profile.sample:
        stack = []
        for at in (locations[i] for i in sample.location_id):
            (line,) = at.line
            function, mapping = functions[line.function_id], mappings[at.mapping_id]
            assert mapping.has_functions
            assert mapping.has_filenames
            assert mapping.has_line_numbers
            assert function.system_name == function.name
            stack.append((text[function.name], text[function.filename], line.line))
        module = text[mapping.filename]
        (name, file, line), (base, of_file, _), *outside = stack
        assert file == of_file
        assert [base, *(frame[0] for frame in outside)] == [
            part for part in reversed([module, *file.rpartition("/")[::2]]) if part
        ]
        sites.append((file, line, name, "" if module == KERNEL else module, *sample.value))
    return profile, sites


def test_every_site_is_a_sample() -> None:
    profile, sites = read(pprof.render(samples.report(HOSTILE, warnings=["careful"]), HOSTILE))
    text = profile.string_table
    kinds = [(text[kind.type], text[kind.unit]) for kind in profile.sample_type]
    assert kinds == [("inuse_space", "bytes"), ("inuse_objects", "count")]
    assert text[profile.default_sample_type] == "inuse_space"
    assert text[profile.mapping[0].filename] == KERNEL
    assert [s[:5] for s in sites] == [
        ("mm/slub.c", 9, "new_slab", "", 8192),
        ("<script>alert(1)</script>", 10, "=cmd", "módulo", 2**62),
        ("x.c", 2**32 - 1, "f", "m", -50),
        ("x.c", 1, "f", "m", 0),
    ]
    assert [s[5] for s in sites] == [2, 2**63 - 1, -1, 0]  # the format has no uint64 values
    comments = [text[i] for i in profile.comment]
    assert "Linux 6.12.0" in comments[0]
    assert comments[1:] == ["careful"]
    crash = samples.report(HOSTILE).origin.system.crash_time
    assert crash is not None
    assert profile.time_nanos == crash.timestamp() * 10**9


def test_the_same_report_is_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it is made: gzip has a place for the time."""
    report = samples.report(HOSTILE)
    before = pprof.render(report, HOSTILE)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert pprof.render(report, HOSTILE) == before


@pytest.mark.parametrize("core", CORES_WITH_TRUTH, ids=name)
def test_profile_of_a_dump_is_what_the_kernel_counted(core: Path) -> None:
    done = run("report", core, "--format", "pprof", "--no-unloaded", text=False)
    assert done.returncode == 0
    held: dict[Site, list[tuple[int, int]]] = {}
    for line in truth(core).splitlines()[2:]:
        size, calls, where, *module, function = line.replace(" accurate:no", "").split()
        file, _, number = where.rpartition(":")
        site = (file, int(number), function.removeprefix("func:"), "".join(module).strip("[]"))
        if (size, calls) != ("0", "0") and site[2] not in ("alloc_slab_page", "pcpu_alloc_pages"):
            held.setdefault(site, []).append((int(size), int(calls)))
    profile, sites = read(done.stdout)
    assert profile.string_table[profile.comment[1]].startswith("sums count objects, not the ")
    found: dict[Site, list[tuple[int, int]]] = {}
    for sample in sites:
        found.setdefault(sample[:4], []).append(sample[4:])
    assert found == held


@pytest.mark.skipif(not shutil.which("go"), reason="Go is not installed")
def test_go_tool_pprof_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "memory.pb.gz"
    done = run("report", CORES_WITH_TRUTH[0], "--format", "pprof", "--output", path)
    assert (done.returncode, done.stdout) == (0, "")
    shown = subprocess.run(
        ["go", "tool", "pprof", "-raw", path], capture_output=True, text=True, check=True
    ).stdout
    assert "inuse_space/bytes[dflt] inuse_objects/count" in shown
