# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage of real dumps: who is named, who is not, and that its numbers are those of the others."""

from __future__ import annotations

import json
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import allocdump
from allocdump.analysis.dominators import Holding
from allocdump.errors import DamagedError
from allocdump.kernel.machine.log import KernelLog
from allocdump.kernel.machine.oom import oom_events
from allocdump.kernel.machine.vmstat import VmStat
from allocdump.kernel.tags.profiling import Profiling
from allocdump.session import evidence
from allocdump.triage.verdict import Triage
from allocdump.view.sentence import text

from ..dumpdata import CORES, CORES_WITH_TRUTH, core, exclude, made, name, open_core, page_size, run

READABLE = [c for c in CORES if "noprofiling" not in made(c)["kernel"]["configs"]]
OOM, USER, MEMCG = core("6.12-oom"), core("6.12-oom-user"), core("7.2-oom-memcg")
OUT_OF_MEMORY = (OOM, USER, MEMCG, core("arm64-oom"))
LEAKED = {
    "7.3-after": ["leaker"], "7.3-before": ["leaker"],
    "6.12-reach": ["reach"], "7.2-reach": ["reach"], "7.3-reach": ["reach"],
    "arm64-reach": ["reach"],
    "7.3-history": ["history", "reach"],
}  # fmt: skip
"""Modules that lost memory in many pieces, and are still there."""
QUIET = [c for c in READABLE if c not in OUT_OF_MEMORY]
DAMAGED = core("7.2-quiet", "vmcore.d31")

readable = pytest.mark.parametrize("path", READABLE, ids=name)
with_truth = pytest.mark.parametrize("path", CORES_WITH_TRUTH, ids=name)


@cache
def triage(path: Path) -> Triage:
    return open_core(path).triage()


@cache
def document(path: Path) -> dict[str, Any]:
    done = run("triage", path, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    page: dict[str, Any] = json.loads(done.stdout)
    return page


def profile(page: Triage) -> object:
    """The state of profiling, as told."""
    (told,) = [fact.value for fact in page.sections[0].facts if fact.key == "profiling"]
    return told.values["state"]


def titles(path: Path) -> list[str]:
    return [text(suspect.title) for suspect in triage(path).suspects]


def causes(path: Path) -> list[str]:
    return [suspect.rule for suspect in triage(path).suspects if suspect.cause]


def test_the_leaking_site_is_the_first_suspect() -> None:
    first = triage(OOM).suspects[0]
    assert text(first.title) == (
        "LEAK in module leaker (leaker.c:44, leaker_get_page): 70.3 MiB lost, 75.4% of memory"
    )
    assert (first.rule, first.confidence.words) == ("lost_memory", "certain")
    assert causes(OOM) == ["lost_memory"]
    truth = next(
        line for line in (OOM.parent / "truth.allocinfo").read_text().splitlines()
        if "leaker.c:44" in line
    )  # fmt: skip
    assert first.bytes == int(truth.split()[0])
    assert any(text(line).startswith("KERNEL MEMORY in module leaker") for line in first.evidence)
    assert text(triage(OOM).verdict) == f"{text(first.title)}. Certain."


def test_the_user_task_is_the_cause_and_no_site_is_accused() -> None:
    first = triage(USER).suspects[0]
    assert causes(USER) == ["user_memory"]
    title = text(first.title)
    assert title.startswith("USER MEMORY, most of it of task tail (pid ")
    kinds = {n.name: n.bytes for n in open_core(USER).usage().children}
    assert first.bytes == kinds["anonymous memory"] + kinds["shared memory and tmpfs"]
    accused = [
        s for s in triage(USER).suspects if s.rule not in ("user_memory", "unloaded_modules")
    ]
    assert not accused


def test_the_cgroups_limit_is_the_cause() -> None:
    first, *others = triage(MEMCG).suspects
    assert (first.rule, first.confidence.words) == ("cgroup_limit", "certain")
    assert text(first.title) == (
        "LIMIT of memory cgroup /second reached, not the machine's: 12.0 MiB of 12.0 MiB"
    )
    assert not any(suspect.cause for suspect in others)
    kills = next(suspect for suspect in others if suspect.rule == "cgroup_kills")
    assert text(kills.title) == "1 task killed at the limit of memory cgroup /first, 4.00 MiB"


@pytest.mark.parametrize("path", QUIET, ids=name)
def test_no_suspect_is_invented(path: Path) -> None:
    """All that quiet crashes have is what was really leaked, and no machine died of it."""
    assert causes(path) == []
    found = {suspect.subject: suspect.rule for suspect in triage(path).suspects}
    verdict = text(triage(path).verdict)
    assert verdict.startswith("memory was not short: ")
    if path == core("7.3-reach-never"):
        assert found == {"module reach": "lost_memory"}  # what the module really lost
        return
    if path == core("7.3-cgroups"):
        assert found == {}
        return
    if path == core("7.3-stacks"):
        # And leaked, whose code is gone: what allocated its pages, and its objects.
        gone = [one for one in triage(path).suspects if one.subject.startswith("0x")]
        assert [one.bytes for one in gone] == [512 * 4096, 500 * 512]
        assert found.pop("module reach") == "lost_memory"
        assert set(found) == {one.subject for one in gone}
        return
    if path not in CORES_WITH_TRUTH:
        assert found == {}
        assert verdict.endswith("nothing stands out")
        return
    assert found.pop("module leaked") == "unloaded_modules"
    assert found == {f"module {name}": "lost_memory" for name in LEAKED.get(path.parent.name, [])}
    assert "; LEAK " in verdict


def test_a_small_leak_is_told() -> None:
    """1,088 pages, 3.3% of memory: the machine had plenty."""
    first = triage(core("7.3-after")).suspects[0]
    assert (first.rule, first.cause, first.confidence.words) == ("lost_memory", False, "certain")
    assert first.bytes == 1088 * 4096
    assert text(first.title) == (
        "LEAK in module leaker (leaker.c:44, leaker_get_page): 4.25 MiB lost, 3.3% of memory"
    )
    assert text(triage(core("7.3-after")).verdict).endswith(f"{text(first.title)}. Certain.")


@pytest.mark.parametrize("path", CORES_WITH_TRUTH, ids=name)
def test_triage_says_what_leaks_proves(path: Path) -> None:
    """No more, and no less."""
    sites = open_core(path).report().sites
    if path == DAMAGED:
        return
    lost = open_core(path).leaks().lost
    proven = {sites.module[row] or sites.file[row] for row in
              lost.chief[lost.confidence == "certain"].tolist()}  # fmt: skip
    told = {s.subject.removeprefix("module ") for s in triage(path).suspects
            if s.rule in ("lost_memory", "unloaded_modules")}  # fmt: skip
    assert told == proven


@with_truth
def test_the_unloaded_module_is_named_with_what_it_left(path: Path) -> None:
    """512 pages and 500 objects of 256 bytes."""
    if path == core("7.3-cgroups"):
        assert "unloaded_modules" not in {s.rule for s in triage(path).suspects}
        return
    gone = next(s for s in triage(path).suspects if s.rule == "unloaded_modules")
    size = 512 * page_size(path) + 500 * 256
    words = f"LEAK of module leaked, which was unloaded: {size / (1 << 20):.1f}"
    assert text(gone.title).startswith(words)
    assert gone.bytes == size
    assert gone.confidence.words == "certain"


@readable
def test_numbers_are_those_of_usage_and_report(path: Path) -> None:
    page = document(path)
    if path not in CORES_WITH_TRUTH:
        assert "sites" not in page["holders"]
        return
    usage = json.loads(run("usage", path, "--format", "json", "--depth", "1").stdout)["memory"]
    told = [usage, *usage["children"]]
    columns = ("name", "bytes", "share", "kernel_counter")
    rows = [[row[c] for c in columns] for row in page["memory"]["usage"]]
    assert rows == [[node[c] for c in columns] for node in told]
    report = json.loads(run("report", path, "--format", "json").stdout)["rows"]
    held = {
        (f"{r['file']}:{r['line']}", r["function"], r["module"]):
        (r["bytes"], r["calls"]) for r in report
    }  # fmt: skip
    for row in page["holders"]["sites"]:
        key = (f"{row['file']}:{row['line']}", row["function"], row["module"])
        # Sites whose counters hold nothing may keep memory that is just being freed.
        assert (row["counter"], row["calls"]) == held.get(key, (0, 0))
    assert len(page["holders"]["sites"]) > 250


@with_truth
def test_footprints_and_the_rest_are_all_memory(path: Path) -> None:
    page = document(path)
    facts = page["holders"]["facts"]
    at_sites, elsewhere = facts["at_sites"]["values"], facts["elsewhere"]["values"]
    whole = page["memory"]["usage"][0]["bytes"]
    assert sum(row["keeps"] for row in page["holders"]["sites"]) == at_sites["size"]
    assert at_sites["size"] == at_sites["kernel"] + at_sites["user"]
    assert at_sites["size"] + elsewhere["size"] == whole == open_core(path).usage().bytes
    parts = ("pages", "slab", "percpu", "user")
    for row in page["holders"]["sites"]:
        assert row["keeps"] == sum(row[part] for part in parts)
        assert 0 <= row["vmalloc"] <= row["pages"]
        assert 0 <= row["reclaimable"] <= row["slab"]


@with_truth
def test_footprints_are_no_less_than_references(path: Path) -> None:
    """Pages as they are; objects with their share of slabs, which is more than they are."""
    found = open_core(path).attribution()
    sites = open_core(path).report().sites
    names = ("file", "line", "function", "module")
    rows = {tuple(r[n] for n in names): r for r in document(path)["holders"]["sites"]}
    compared = 0
    for i in range(len(sites)):
        file, line, function, module, _ = sites.name(i)
        row = rows.get((file, line, function, module or None))
        if row and sites.module[i] in ("labmod", "leaker", "leaked", "labtruth", "charged"):
            assert row["pages"] == found.pages.bytes[i] + found.inferred.bytes[i]
            if path != DAMAGED:
                assert row["slab"] >= found.objects.bytes[i]
            assert row["percpu"] in (0, found.percpu.bytes[i] * open_core(path).possible_cpus)
            compared += 1
    assert compared >= 3


@readable
def test_every_command_it_tells_works(path: Path) -> None:
    page = document(path)
    commands = [c for suspect in page["suspects"] for c in suspect["commands"]] + page["commands"]
    assert commands
    for command in dict.fromkeys(commands):
        program, *arguments = shlex.split(command)
        assert program == "allocdump"
        done = run(*arguments)
        assert (done.returncode, bool(done.stdout)) == (0, True), command


def test_a_suspects_commands_show_it() -> None:
    first = document(OOM)["suspects"][0]
    leaks, audit, pages = (run(*shlex.split(c)[1:]).stdout for c in first["commands"])
    assert leaks.count("leaker.c:44") == 10
    assert "leaker_get_page" in audit.splitlines()[3]
    assert pages.count("leaker.c:44") == 10


@readable
@pytest.mark.parametrize("format_", ["text", "markdown"])
def test_text_and_markdown(path: Path, format_: str) -> None:
    done = run("triage", path, "--format", format_, "--exact")
    assert (done.returncode, done.stderr) == (0, "")
    page = document(path)
    assert f"{page['memory']['zones'][0]['free']:,}" in done.stdout
    heading = "## {}. {}" if format_ == "markdown" else "{}. {}"
    titles = ["What died", "Where memory was", "Who holds it", "Suspects", "What next"]
    for number, title in enumerate(titles, 1):
        shown = title if format_ == "markdown" else title.upper()
        assert heading.format(number, shown) in done.stdout


def test_text_is_one_page() -> None:
    assert len(run("triage", OOM).stdout.splitlines()) <= 100


def test_a_damaged_dump_says_what_is_missing() -> None:
    missing = " ".join(triage(DAMAGED).missing)
    assert "makedumpfile up to 1.7.9" in missing
    assert "The list of tasks is damaged" in missing
    assert "7 tasks are unreadable" in missing


def test_without_a_profile() -> None:
    never = core("tiny-never")
    assert any("never enabled" in sentence for sentence in triage(never).missing)
    page = document(never)
    assert page["died"]["facts"]["profiling"]["text"] == "never"
    assert {t["comm"] for t in page["holders"]["tasks"]} == {"init", "sh"}
    kinds = {row["name"]: row["bytes"] for row in page["memory"]["usage"]}
    shmem = VmStat(open_core(never).kernel).node("NR_SHMEM")
    assert shmem is not None
    assert kinds["shared memory and tmpfs"] == shmem * 4096
    assert kinds["memory"] == sum(zone["present"] for zone in page["memory"]["zones"])
    done = run("triage", never)
    assert "without a profile, the call sites that allocated memory are not known" in done.stdout


def test_without_types_there_is_one_sentence() -> None:
    done = run("triage", core("tiny-noprofiling"))
    assert (done.returncode, done.stdout) == (4, "")
    assert "name the kernel's vmlinux" in done.stderr


def test_without_the_kernel_log() -> None:
    """The leaking site is named all the same: by the zones, memory was short."""
    dump = allocdump.open(OOM)
    dump.log = KernelLog(b"", "no such memory")
    page = dump.triage()
    assert page.suspects[0].rule == "lost_memory"
    assert page.suspects[0].cause
    assert "The kernel log is unreadable: no such memory." in page.missing
    assert not any(table.key == "events" for table in page.sections[0].tables)


@pytest.mark.parametrize("path", [MEMCG, core("stock-7.3-inodes")], ids=name)
def test_an_unreadable_log_may_have_told_of_a_shortage(path: Path) -> None:
    """By the zones alone, neither machine was short; both died out of memory."""
    dump = allocdump.open(path)
    dump.log = KernelLog(b"", "219 records of the kernel log are unreadable")
    page = dump.triage()
    assert "was not short" not in str(page.verdict)
    assert "does not look short" in str(page.verdict)
    below = {fact.key: str(fact.value) for fact in page.summary}
    assert below["died"] == "the reason is not known: the kernel log is not readable in full"
    assert "the kernel log is unreadable" in below["gaps"]
    told = {fact.key: str(fact.value) for fact in page.sections[0].facts}
    unread = "not known: the kernel log is not readable in full"
    assert (told["reason"], told["events"]) == (unread, unread)
    assert sum("219 records" in sentence for sentence in page.missing) == 1


def test_without_what_describes_memory() -> None:
    dump = allocdump.open(USER)
    exclude(dump.prog, dump.prog.symbol("mem_section").address)
    page = dump.triage()
    assert any(sentence.startswith("What describes memory") for sentence in page.missing)
    assert {table.key for section in page.sections for table in section.tables} >= {
        "zones", "tasks", "cgroups", "tmpfs"
    }  # fmt: skip


def test_without_tasks_zones_and_cgroups() -> None:
    dump = allocdump.open(OOM)
    for symbol in ("init_task", "node_data", "root_mem_cgroup", "super_blocks"):
        exclude(dump.prog, dump.prog.symbol(symbol).address)
    page = dump.triage()
    said = " ".join(page.missing)
    for words in ("list of tasks", "zones", "memory cgroups", "file systems"):
        assert words in said.lower()


def test_with_types_that_are_not_what_they_should_be() -> None:
    """As a kernel of somebody's own, or damaged type information."""
    dump = allocdump.open(USER)
    prog = dump.prog
    broken = ("mem_cgroup", "shmem_inode_info", "kmem_cache", "alloc_tag")
    empty = {name: prog.struct_type(name, 8, ()) for name in broken}
    prog.register_type_finder(
        "broken", lambda prog, kinds, name, filename: empty.get(name), enable_index=0
    )
    page = dump.triage()
    said = " ".join(page.missing)
    for words in ("The report is unreadable", "memory cgroups is damaged", "files of tmpfs"):
        assert words in said
    assert {table.key for section in page.sections for table in section.tables} >= {
        "zones",
        "tasks",
    }
    assert profile(page) == "on, but unreadable"


def test_events_are_those_of_the_log() -> None:
    told = document(MEMCG)["died"]["events"]
    events = oom_events(open_core(MEMCG).log)
    assert [row["time"] for row in told] == [e.time for e in events]
    assert [row["cgroup"] for row in told] == ["/first", "/second"]
    assert [row["limit"] for row in told] == [4 << 20, 12 << 20]
    assert [row["victim"] for row in told] == ["tail", None]
    assert [row["fatal"] for row in told] == [False, True]


def test_the_kernels_own_list_agrees() -> None:
    for path in (OOM, USER):
        values = document(path)["holders"]["facts"]["kernel_top_ten"]["values"]
        assert values == {"same": 10, "n": 10}


def test_without_the_offsets_of_cpus() -> None:
    """Zones still tell what they know themselves."""
    dump = allocdump.open(OOM)
    exclude(dump.prog, dump.prog.symbol("__per_cpu_offset").address)
    page = dump.triage()
    assert any("what cpus there are is unreadable" in s.lower() for s in page.missing)
    assert "zones" in {table.key for section in page.sections for table in section.tables}


def test_off_but_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something was counted: it is not that there never was a profile."""
    dump = allocdump.open(OOM)

    def unreadable() -> None:
        raise DamagedError("no such memory.")

    monkeypatch.setattr(dump, "report", unreadable)
    monkeypatch.setattr(evidence, "profiling", lambda kernel: Profiling("off", False))
    assert profile(dump.triage()) == "off, but unreadable"


@pytest.mark.parametrize(
    "place",
    [
        "allocdump.session.evidence.footprint",
        "allocdump.session.evidence.cache_rows",
        "allocdump.analysis.audit.audit",
    ],
)
def test_a_bug_is_no_damage(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def bug(*_: object, **__: Any) -> None:
        raise TypeError("unsupported operand")

    monkeypatch.setattr(place, bug)
    with pytest.raises(TypeError):
        allocdump.open(core("7.3-tiny")).triage()


def test_a_running_kernels_audit_knows_what_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = allocdump.open(core("7.3-tiny"))
    dump.kernel.state = "running"
    sites = dump.report().sites
    sites.bytes[3] += 1 << 20
    cases = []
    monkeypatch.setattr(
        "allocdump.analysis.audit.audit", lambda *_, **how: cases.append(how["moved"])
    )
    dump.triage()
    assert cases[0].tolist() == [row == 3 for row in range(len(sites))]


@pytest.mark.parametrize(("sizes", "site"), [((51, 49), 7), ((50, 50), None), ((40, 30, 30), None)])
def test_a_holder_names_the_site_of_more_than_half_only(
    sizes: tuple[int, ...], site: int | None
) -> None:
    below = [Holding(None, 7 + i, size, 1) for i, size in enumerate(sizes)]
    assert evidence._most_of(Holding(0, None, sum(sizes), len(sizes), below)) == site
    assert evidence._most_of(Holding(0, None, 1, 1)) is None
