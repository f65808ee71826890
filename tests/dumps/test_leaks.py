# SPDX-License-Identifier: LGPL-2.1-or-later
"""What modules dropped and what they hold, in real dumps, against their own account."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from drgn import Object, Program
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import cpu_curr

import allocdump
from allocdump.analysis import paths
from allocdump.analysis.leaks import EXPECTED, LeakConfidence, Leaks
from allocdump.analysis.paths import node_at
from allocdump.analysis.reach import Verdict, reach
from allocdump.graph import disguised as hidden
from allocdump.graph import edges as graph_module
from allocdump.graph.build import HeapBuilder
from allocdump.graph.cached_bios import cached_bios
from allocdump.graph.edges import read_graph
from allocdump.graph.free_requests import free_requests
from allocdump.graph.nodes import NodeKind, Spans
from allocdump.graph.p9_channels import used_scatter_lists
from allocdump.kernel.kernel import Kernel
from allocdump.kernel.mm.pagemap import PageMap
from allocdump.kernel.mm.slab_free import Sheaves
from allocdump.session.evidence import investigate
from allocdump.session.session import Session
from allocdump.source.zeros import ZeroFrames
from tests.dumpdata import CORES_WITH_TRUTH, core, exclude, name, open_core, overwrite, run

REACH = [core(f"{kernel}-reach") for kernel in ("6.12", "7.2", "7.3")]
UNDAMAGED = [c for c in CORES_WITH_TRUTH if c != core("7.2-quiet", "vmcore.d31")]
TEST_MODULES = {"labmod", "leaked", "leaker", "reach", "history", "charged"}

LABMOD_HOLDS = {"page", "kmalloc", "kmalloc_account", "cache", "plain", "percpu"}
"""Kinds that labmod keeps in arrays. Of its other variables, those that nothing reads were
removed by the compiler: their memory is lost indeed."""

HOLDERS = {
    "hold_in_vmalloc": "held_area",
    "hold_in_page": "held_page",
    "hold_in_percpu": "held_percpu|per-CPU memory",
    "hold_in_xarray": "held_xarray",
    "hold_in_idr": "held_idr",
    "hold_in_maple_tree": "held_maple_tree",
    "hold_in_rbtree": "held_rbtree",
    "hold_in_hlist": "held_hlist",
    "hold_tagged": "held_tagged",
    "hold_by_timer": "timer_bases",
    "hold_by_delayed_work": "timer_bases",
    "hold_by_work": "work",
    # Another callback, in the stack of a task that has just ended, comes before these.
    "hold_by_rcu": "rcu_data|init_task",
    "hold_on_stack": r"reach/stack \[\d+\] \(stack\)",
    "hold_by_kthread": "kthread|task",
}
"""Function of reach.c that allocates: the root that holds."""


@cache
def answers(path: Path) -> Leaks:
    return open_core(path).leaks()


@cache
def truth(path: Path) -> list[tuple[str, int, int, str, str]]:
    """(kind, address, line, state, module) of each allocation that modules noted."""
    lines = (path.parent / "truth.allocations").read_text().splitlines()[1:]
    rows = (line.split() for line in lines)
    return [(r[0], int(r[1], 16), int(r[3]), r[4], r[6]) for r in rows]


def verdicts(path: Path, wanted: Callable[[str, int, int, str, str], bool]) -> Counter[str]:
    """How many of the noted allocations that *wanted* chooses have each verdict."""
    found = open_core(path).reach()
    counts: Counter[str] = Counter()
    for row in truth(path):
        if wanted(*row):
            node = node_at(found.graph, row[1])
            counts["none" if node is None else Verdict(found.verdict[node]).name] += 1
    return counts


@pytest.mark.parametrize("path", REACH, ids=name)
def test_what_was_dropped_is_lost(path: Path) -> None:
    found = verdicts(path, lambda kind, address, line, state, module: state == "lost")
    # Per-CPU memory of the first chunk carries no tag; nothing tells whose it is.
    first_chunk = found.pop("none", 0)
    assert first_chunk <= 24
    assert found["LOST"] >= 0.995 * found.total()
    assert found["LOST"] >= 300


@pytest.mark.parametrize("path", REACH, ids=name)
def test_what_is_held_in_one_way_is_not_lost(path: Path) -> None:
    found = verdicts(path, lambda kind, address, line, state, module: state == "held")
    first_chunk = found.pop("none", 0)
    assert first_chunk <= 24
    assert set(found) == {"HELD"}
    assert found["HELD"] >= 700


@pytest.mark.parametrize("path", UNDAMAGED, ids=name)
def test_what_unloading_dropped_is_lost(path: Path) -> None:
    found = verdicts(path, lambda kind, address, line, state, module: module == "leaked")
    assert found["LOST"] >= 0.995 * found.total()


@pytest.mark.parametrize("path", UNDAMAGED, ids=name)
def test_what_labmod_holds_is_not_lost(path: Path) -> None:
    found = verdicts(
        path,
        lambda kind, address, line, state, module: (
            module == "labmod" and state == "live" and kind in LABMOD_HOLDS
        ),
    )
    found.pop("none", 0)
    assert set(found) <= {"HELD"}


def test_the_leak_that_killed_the_machine() -> None:
    path = core("6.12-oom")
    dump, found = open_core(path), answers(path)
    sites, lost = dump.origins, found.lost
    assert sites.function[lost.site[0]] == "leaker_get_page"
    assert lost.confidence[0] == LeakConfidence.CERTAIN
    page = int(lost.site[0])
    assert lost.bytes[0] == sites.bytes[page]
    assert lost.held_bytes[0] == 0
    assert "leaker_get_rec" not in set(sites.function[lost.site])


@pytest.mark.parametrize("path", UNDAMAGED, ids=name)
def test_false_alarms(path: Path) -> None:
    dump, found = open_core(path), answers(path)
    sites, nodes = dump.origins, found.graph.nodes
    assert found.reasons == []
    # Whatever a test module's allocation leads was dropped with it.
    heads = nodes.site[found.head]
    false = ~np.isin(sites.module[heads], list(TEST_MODULES))
    # What history forgets comes from the kernel's own sites, too.
    forgotten = [row[1] for row in truth(path) if row[3:] == ("lost", "history")]
    false &= ~np.isin(nodes.address[found.head], np.array(forgotten, np.uint64))
    # labmod's kstrdup() has the site in kstrdup(), and a variable that nothing reads.
    for i in np.flatnonzero(false & (nodes.kind[found.node] == NodeKind.OBJECT)).tolist():
        start, length = int(nodes.address[found.node[i]]), int(nodes.size[found.node[i]])
        false[i] = not dump.prog.read(start, length).startswith(b"labmod's own string")
    size = nodes.size[found.node[false]].sum()
    assert size <= 0.0005 * nodes.size.sum()
    documented = (Path(__file__).parents[2] / "docs" / "leaks.md").read_text()
    false &= nodes.site[found.node] < dump.origins.tagged
    for function in set(sites.function[nodes.site[found.node[false]]]):
        assert f"`{function}`" in documented


@pytest.mark.parametrize("path", UNDAMAGED, ids=name)
def test_what_is_expected_to_be_lost_is_said_to_be(path: Path) -> None:
    sites, lost = open_core(path).origins, answers(path).lost
    for i, row in enumerate(lost.site.tolist()):
        expected = sites.function[row] in EXPECTED and not sites.module[row]
        assert (lost.confidence[i] == LeakConfidence.EXPECTED) == expected


def test_a_damaged_dump_calls_nothing_lost() -> None:
    whole, damaged = core("7.2-quiet"), core("7.2-quiet", "vmcore.d31")
    assert answers(whole).reasons == []
    found = open_core(damaged).reach()
    assert found.reasons
    assert Verdict.LOST not in found.verdict
    assert set(answers(damaged).lost.confidence) == {LeakConfidence.UNDECIDED}


def test_one_missing_page_of_held_memory_makes_undecided() -> None:
    path = core("7.2-reach")
    before = open_core(path).reach()
    held = np.flatnonzero((before.verdict == Verdict.HELD) & (before.graph.nodes.kind == 0))
    dump = allocdump.open(path, debug_info="btf")
    dump.report()
    exclude(dump.prog, int(before.graph.nodes.address[held[len(held) // 2]]))
    found = dump.reach()
    assert "not in the dump" in found.reasons[-1]
    assert Verdict.LOST not in found.verdict
    # So little is no gap of a verdict.
    case = investigate(dump)
    assert not [gap for gap in case.gaps if "leaks" in gap]
    assert [said for said in case.missing if "cannot be told from held" in said]
    assert not case.lost


def test_much_missing_memory_is_a_gap_of_the_verdict() -> None:
    case = investigate(open_core(core("7.2-quiet", "vmcore.d31")))
    assert [gap for gap in case.gaps if "leaks cannot be told" in gap]


def test_retained_names_the_list() -> None:
    path = core("6.12-oom")
    dump = open_core(path)
    tree, sites = dump.dominators(), dump.origins
    holder = tree.holder()
    nodes = tree.graph.nodes
    records = np.flatnonzero(sites.function[nodes.site] == "leaker_get_rec")
    names = Counter(
        str(tree.graph.roots[h - len(nodes)]) if h >= 0 else "shared"
        for h in holder[records].tolist()
    )
    assert names["recs (leaker .data)"] >= 0.99 * len(records)
    assert len(records) == int(sites.calls[sites.function == "leaker_get_rec"][0])


def test_paths_reach_a_record_from_its_list() -> None:
    path = core("6.12-oom")
    dump = open_core(path)
    graph, sites = dump.graph(), dump.origins
    record = np.flatnonzero(sites.function[graph.nodes.site] == "leaker_get_rec")[-1]
    (way,) = dump.paths(hex(graph.nodes.address[record])).found
    assert way.steps[0].what == "recs (leaker .data)"
    assert way.steps[-1].node == record
    for step, following in zip(way.steps, way.steps[1:], strict=False):
        assert step.pointer is not None
        word = dump.prog.read_u64(step.pointer.address)
        if not step.left_out:
            assert following.address <= word < following.address + following.size
    assert way.length == len(way.steps) - 1 + sum(s.left_out for s in way.steps)


def test_paths_show_what_keeps_a_dropped_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scatter list of 9p's that is not in use keeps the address of one, if it is not known."""
    monkeypatch.setattr(graph_module, "used_scatter_lists", lambda kernel: Spans.none())
    dump = allocdump.open(core("6.12-reach"), debug_info="btf")
    found, sites = dump.reach(), dump.origins
    of_site = sites.function[found.graph.nodes.site] == "leaked_pages"
    kept = np.flatnonzero(of_site & (found.verdict == Verdict.HELD)).tolist()
    assert len(kept) == 1
    for node in kept:
        (way,) = dump.paths(hex(found.graph.nodes.address[node])).found
        assert way.steps[0].pointer is not None
        assert dump.prog.read_u64(way.steps[0].pointer.address)


def test_a_loaded_kernel_holds_none_of_what_it_was_copied_from() -> None:
    """``kexec -s`` frees these buffers, and others get their addresses."""
    path = core("7.3-reach")
    lost = open_core(path).leaks()
    nodes = lost.graph.nodes.take(lost.node[lost.is_lost])
    area = int(nodes.address[nodes.kind == NodeKind.VMALLOC][0])
    dump = allocdump.open(path)
    part = dump.prog["kexec_crash_image"].segment[1]
    overwrite(dump.prog, part.buf.address_of_().value_(), area.to_bytes(8, "little"))
    assert part.buf.value_() == area
    assert dump.leaks().decided.bytes.sum() == lost.decided.bytes.sum()


def test_memory_that_the_crash_kernel_is_not_told_of_hides_no_loss() -> None:
    """``kexec -s`` leaves out the first MiB, which no allocator ever has."""
    path = core("7.3-reach")
    dump = allocdump.open(path)
    start = dump.kernel.direct_map
    assert dump.prog.read(start + 0x1000, 8)
    exclude(dump.prog, start, 1 << 20)
    found, whole = dump.leaks(), open_core(path).leaks()
    assert not found.reasons
    assert found.lost.to_dict().keys() == whole.lost.to_dict().keys()
    assert int(found.decided.bytes.sum()) == int(whole.decided.bytes.sum()) > 0


@pytest.mark.parametrize("path", REACH, ids=name)
def test_paths_name_each_holder(path: Path) -> None:
    dump = open_core(path)
    sites = dump.origins
    function = {
        int(sites.line[i]): sites.function[i] for i in np.flatnonzero(sites.module == "reach")
    }
    ways: defaultdict[str, list[paths.Path]] = defaultdict(list)
    for _, address, line, state, module in truth(path):
        if state == "held" and module == "reach" and len(ways[function[line]]) < 3:
            found = dump.paths(hex(address))
            if found.node is not None:
                ways[function[line]].append(found.found[0])
    assert set(HOLDERS) <= set(ways)
    for case, root in HOLDERS.items():
        first = [way.steps[0].what for way in ways[case]]
        assert any(re.search(root, what) for what in first), (case, first)


RULES = {
    "page_extensions": ("6.12-oom", "alloc_page_ext"),
    "page_tables": ("7.2-quiet", "spp_getpage"),
    "dead_stacks": ("7.2-reach", "hold_by_rcu"),
    "vmalloc_areas": ("7.2-quiet", "__get_vm_area_node"),
    "replaced_vmcoreinfo": ("7.2-quiet", "crash_save_vmcoreinfo_init"),
}
"""Rules for hidden pointers: where, and whose memory is lost without them."""


def lost_functions(dump: Session) -> Counter[str]:
    pagemap = PageMap(dump.kernel, dump.sites)
    sites = pagemap.origins.names(dump.sites)
    builder = HeapBuilder(pagemap, sites.role)
    pagemap.show(builder)
    found = reach(read_graph(builder, sites))
    return Counter(sites.function[found.graph.nodes.site[found.verdict == Verdict.LOST]])


@pytest.mark.parametrize(("rule", "where"), RULES.items(), ids=list(RULES))
def test_each_rule_finds_pointers(
    rule: str, where: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, function = where
    dump = open_core(core(folder))
    # No variable keeps the address of labmod's area: it is lost, and so is its vm_struct.
    known = int(rule == "vmalloc_areas")
    assert lost_functions(dump)[function] == known
    home = hidden if hasattr(hidden, rule) else graph_module
    monkeypatch.setattr(home, rule, lambda *arguments: [])
    assert lost_functions(dump)[function] > known


@pytest.mark.parametrize("folder", ["7.3-tiny", "7.3-compressed"])
def test_an_area_that_is_kept_for_the_next_user_holds_nothing(folder: str) -> None:
    """It still has the bounds of what was there: beside it lies one that nobody points at."""
    assert lost_functions(open_core(core(folder)))["labmod_vmalloc"] > 0


HOLDS_NOTHING = {
    "stale_ends": ("7.3-compressed", "leaked_objects"),
    "bookkeeping": ("7.2-reach", "lose_areas"),
    "unloaded_modules": ("6.12-oom", "leaked_objects"),
    "unused_slots": ("6.12-oom", "leaker_get_page"),
}
"""Rules for words that only look like pointers: where, and whose loss they would hide."""


@pytest.mark.parametrize(("rule", "where"), HOLDS_NOTHING.items(), ids=list(HOLDS_NOTHING))
def test_each_rule_sees_through_what_is_no_pointer(
    rule: str, where: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, function = where
    dump = open_core(core(folder))
    all_lost = lost_functions(dump)[function]
    assert all_lost > 0
    none = hidden.stale_ends(Sheaves.none())
    others: dict[str, object] = {"unloaded_modules": None, "bookkeeping": (none, [])}
    nothing = others.get(rule, none)
    home = hidden if hasattr(hidden, rule) else graph_module
    monkeypatch.setattr(home, rule, lambda *arguments: nothing)
    assert lost_functions(dump)[function] < all_lost


@pytest.mark.parametrize("words", [cached_bios, free_requests, used_scatter_lists])
@pytest.mark.parametrize(("rule", "verdict"), [(True, Verdict.LOST), (False, Verdict.HELD)])
def test_what_waits_for_its_next_user_holds_nothing(
    words: Callable[[Kernel], Spans],
    rule: bool,
    verdict: Verdict,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bio that a CPU keeps, a request of a block device, a list of pages that 9p has sent."""
    path = core("7.2-quiet")
    before = open_core(path).reach()
    graph = before.graph
    mine = open_core(path).origins.function[graph.nodes.site] == "leaked_objects"
    lost = int(np.flatnonzero(mine & (before.verdict == Verdict.LOST))[0])
    dump = allocdump.open(path, debug_info="btf")
    # What is laid over a page of zeros is not in the file.
    monkeypatch.setattr(dump.kernel, "zero_frames", ZeroFrames(np.zeros(0, np.uint8)))
    unused = words(dump.kernel)
    assert len(unused.start)
    at = int(unused.start[-1]) + 64  # of a request: biotail
    overwrite(dump.prog, at, graph.nodes.address[lost].tobytes())
    if not rule:
        monkeypatch.setattr(graph_module, words.__name__, lambda kernel: Spans.none())
    assert dump.reach().verdict[lost] == verdict


@pytest.mark.parametrize(("known", "verdict"), [(True, Verdict.LOST), (False, Verdict.HELD)])
def test_kfence_holds_nothing(
    known: bool, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word of the kernel's stands for that in the metadata: no bundled dump has KFENCE."""
    path = core("7.3-tiny")
    before = open_core(path).reach()
    nodes = before.graph.nodes
    mine = open_core(path).origins.function[nodes.site] == "leaked_objects"
    lost = int(np.flatnonzero(mine & (before.verdict == Verdict.LOST))[0])
    dump = allocdump.open(path, debug_info="btf")
    word = dump.prog.symbol("jiffies_64").address
    overwrite(dump.prog, word, nodes.address[lost].tobytes())
    words = np.array([word][: int(known)], np.uint64)
    monkeypatch.setattr(hidden, "kfence_words", lambda kernel: words)
    assert dump.reach().verdict[lost] == verdict


def test_leaks_command() -> None:
    path = core("6.12-oom")
    done = run("leaks", path, "--format", "json")
    assert done.returncode == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows[0]["function"] == "leaker_get_page"
    assert (rows[0]["undecided"], rows[0]["confidence"]) == (0, "certain")
    assert sum(row["lost"] for row in rows) == int(answers(path).lost.bytes.sum())
    listed = run("leaks", path, "--list", "--filter", "leaked.c:35", "--format", "csv").stdout
    lines = listed.splitlines()
    assert lines[0] == "address,bytes,kind,head,verdict,file,line,function,module,origin,name"
    assert len(lines) == 1 + 500
    noted = {row[1] for row in truth(path) if row[4] == "leaked"}
    assert {int(line.split(",")[0], 16) for line in lines[1:]} <= noted
    assert len(run("leaks", path, "--min-size", "1M", "-f", "csv").stdout.splitlines()) == 3


def test_leaks_command_says_why_it_is_undecided() -> None:
    done = run("leaks", core("7.2-quiet", "vmcore.d31"))
    assert done.returncode == 0
    assert re.search(r"^123 sites with undecided memory, .*--all lists", done.stdout, re.MULTILINE)
    assert "LOST" not in done.stdout
    assert "that may hold pointers are not in the dump" in done.stderr


def test_retained_command() -> None:
    path = core("6.12-oom")
    rows = [json.loads(x) for x in run("retained", path, "-f", "json").stdout.splitlines()]
    assert rows[0]["holder"] == "recs (leaker .data)"
    assert rows[0]["allocations"] == rows[1]["allocations"] == 4499
    assert rows[1]["level"] == 1
    assert (rows[1]["holder"], rows[1]["file"], rows[1]["line"]) == (None, "leaker.c", 33)
    assert "tree" not in rows[0]
    by_site = run("retained", path, "--filter", "leaker.c:33", "-f", "csv").stdout.splitlines()
    assert by_site[1:] == [
        "4606976,4499,leaker.c,33,leaker_get_rec,leaker,site,,recs (leaker .data)"
    ]
    lost = run("retained", path, "--filter", "leaked.c:25").stdout
    assert "(nobody: lost)" in lost


def test_paths_command() -> None:
    path = core("7.2-reach")
    address = next(r[1] for r in truth(path) if r[3] == "held" and r[0] == "vmalloc")
    done = run("paths", path, hex(address), "--format", "json")
    document = json.loads(done.stdout)
    assert document["state"] == "held"
    first = document["paths"][0]["steps"][0]
    assert first["what"] == "held_area (reach .data)"
    lost = next(r[1] for r in truth(path) if r[3] == "lost" and r[0] == "page")
    assert "lost; nothing points at it" in run("paths", path, hex(lost)).stdout
    assert "not in an allocation that leaks judges" in run("paths", path, "jiffies").stdout
    wrong = run("paths", path, "nonsense")
    assert wrong.returncode == 2
    assert "nonsense is not an address" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def sleeping_task(prog: Program) -> Object:
    """A task of the dump that is on no CPU."""
    running = {cpu_curr(prog, cpu).value_() for cpu in for_each_online_cpu(prog)}
    tasks = (t for t in for_each_task(prog) if t.mm and t.value_() not in running)
    return max(tasks, key=lambda task: task.pid.value_())


def test_a_zombie_has_no_stack_and_hides_nothing() -> None:
    """release_task_stack() sets task.stack to NULL; address 0 is not a stack to look at."""
    dump = allocdump.open(core("7.3-reach"))
    task = sleeping_task(dump.prog)
    overwrite(dump.prog, task.member_("stack").address_of_().value_(), bytes(8))
    reached = dump.reach()
    assert not reached.reasons
    lost = {key: n for key, n in lost_calls(dump).items() if key[0] == "reach.c"}
    assert lost == {
        key: n for key, n in lost_calls(open_core(core("7.3-reach"))).items() if key[0] == "reach.c"
    }


def lost_calls(dump: Session) -> dict[tuple[str, int], int]:
    """Lost allocations by file and line."""
    lost, sites = dump.leaks().lost, dump.origins
    return {
        (sites.file[row], int(sites.line[row])): int(n)
        for row, n in zip(lost.site.tolist(), lost.allocations.tolist(), strict=True)
    }


def test_an_unreadable_task_costs_itself_only() -> None:
    dump = allocdump.open(core("7.3-reach"))
    task = sleeping_task(dump.prog)
    thread = dump.prog.type("struct task_struct").member("stack").offset
    exclude(dump.prog, task.value_() + thread, 8)
    (reason,) = (r for r in dump.reach().reasons if "task" in r)
    assert re.search("1 task is|tasks are", reason)
    others = [r for r in dump.reach().graph.roots if r.where == "stack"]
    assert len(others) > 5


def test_pages_that_only_page_tables_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """As vmap() of a caller's array leaves them, for a BPF ring buffer: the area has no array.

    The lab has none of these yet: a vmalloc area's own array is taken away.
    """
    dump = allocdump.open(core("7.2-quiet"))
    use = next(
        u for u in dump.vmalloc_areas()
        if u.site >= 0 and dump.origins.function[u.site] == "labmod_vmalloc" and u.area.pages
    )  # fmt: skip
    pages = dump.prog.type("struct vm_struct").member("pages").offset
    overwrite(dump.prog, use.area.vm_struct + pages, bytes(8))
    # The array itself, which is of the same site, is lost then.
    assert lost_functions(dump)["labmod_vmalloc"] == 1
    monkeypatch.setattr(hidden, "mapped_areas", lambda scanner: None)
    assert lost_functions(dump)["labmod_vmalloc"] == 1 + use.area.pages


def test_a_real_zombie() -> None:
    """7.3-zombie: a task has ended, and its parent does not ask for it."""
    dump = open_core(core("7.3-zombie"))
    zombies = [t for t in for_each_task(dump.prog) if not t.member_("stack").value_()]
    assert zombies
    reached = dump.reach()
    assert not reached.reasons
    assert {f"{t.comm.string_().decode()} [{t.pid.value_()}]" for t in zombies} <= {
        root.name for root in reached.graph.roots if root.where == "task"
    }
