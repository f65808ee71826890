# SPDX-License-Identifier: LGPL-2.1-or-later
"""Graph libraries on graphs as kernels have them: time and memory of what leaks and retained ask.

Each library answers each question about each graph in a process of its own, from the same arrays
of links. Seconds are of the processor, from the arrays to the answer as an array; memory is the
peak, less that of the arrays.
"""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np

from allocdump.analysis.dominator_tree import immediate_dominators
from allocdump.analysis.search import Search, row_starts
from allocdump.arrays import I32

Links = tuple[I32, I32]
"""Source and target of each link, by ascending source. Node 0 reaches all others."""

SHAPES = ("list", "trees", "hash table")
NEEDS = {
    "numpy": ("numpy",),
    "igraph": ("igraph", "texttable"),
    "rustworkx": ("rustworkx",),
    "scipy": ("scipy",),
    "networkit": ("networkit", "tabulate", "scipy"),
}
"""Distributions that a library brings, numpy aside."""


def made(shape: str, count: int) -> Links:
    """A graph of *count* nodes, numbered at random, as addresses are."""
    random = np.random.default_rng(1)
    node = np.arange(1, count)
    if shape == "list":
        before = node - 1
        pairs = [(before, node), (node, before)]
    elif shape == "trees":
        # A thousand red-black trees, with pointers to parents.
        before = np.where(node <= 1000, 0, (node - 1001) // 2 + 1)
        pairs = [(before, node), (node, before)]
    else:
        # Chains of eight below one array; each object points at some other, too.
        before = np.maximum(node - (count + 7) // 8, 0)
        pairs = [(before, node), (node, random.integers(0, count, count - 1))]
    name = np.append(0, random.permutation(node)).astype(np.int32)
    source, target = (name[np.concatenate(column)] for column in zip(*pairs, strict=True))
    order = np.argsort(source, kind="stable")
    return source[order], target[order]


def numpy_reach(links: Links, count: int) -> object:
    return Search(*links, count).go(np.zeros(1, np.int32))


def numpy_dominators(links: Links, count: int) -> object:
    search = Search(*links, count)
    order = search.go(np.zeros(1, np.int32))
    place = np.empty(count, np.int32)
    place[order] = np.arange(count, dtype=np.int32)
    before = np.append(np.int32(0), place[search.before[order[1:]]])
    del search, order
    return immediate_dominators(place[links[0]], place[links[1]], before)


def scipy_table(links: Links, count: int) -> Any:
    from scipy.sparse import csr_array

    starts = row_starts(links[0], count).astype(np.int32)
    return csr_array((np.ones(len(links[1])), links[1], starts), shape=(count, count))


def scipy_reach(links: Links, count: int) -> object:
    from scipy.sparse.csgraph import breadth_first_order

    return breadth_first_order(scipy_table(links, count), 0)


def scipy_strong(links: Links, count: int) -> object:
    from scipy.sparse.csgraph import connected_components

    return connected_components(scipy_table(links, count), connection="strong")


def scipy_weak(links: Links, count: int) -> object:
    from scipy.sparse.csgraph import connected_components

    return connected_components(scipy_table(links, count), connection="weak")


def igraph_graph(links: Links, count: int) -> Any:
    import igraph

    return igraph.Graph(n=count, edges=np.column_stack(links).astype(np.int64), directed=True)


def igraph_reach(links: Links, count: int) -> object:
    return [np.array(part) for part in igraph_graph(links, count).bfs(0, mode="out")]


def igraph_strong(links: Links, count: int) -> object:
    graph = igraph_graph(links, count)
    return np.array(graph.connected_components(mode="strong").membership)


def igraph_weak(links: Links, count: int) -> object:
    graph = igraph_graph(links, count)
    return np.array(graph.connected_components(mode="weak").membership)


def igraph_dominators(links: Links, count: int) -> object:
    return np.array(igraph_graph(links, count).dominator(0, mode="out"))


def rustworkx_graph(links: Links, count: int) -> Any:
    import rustworkx

    graph = rustworkx.PyDiGraph(node_count_hint=count, edge_count_hint=len(links[0]))
    graph.add_nodes_from(range(count))
    graph.add_edges_from_no_data(list(zip(*(part.tolist() for part in links), strict=True)))
    return graph


def rustworkx_reach(links: Links, count: int) -> object:
    import rustworkx

    return rustworkx.bfs_successors(rustworkx_graph(links, count), 0)


def rustworkx_strong(links: Links, count: int) -> object:
    import rustworkx

    return rustworkx.strongly_connected_components(rustworkx_graph(links, count))


def rustworkx_weak(links: Links, count: int) -> object:
    import rustworkx

    return rustworkx.weakly_connected_components(rustworkx_graph(links, count))


def rustworkx_dominators(links: Links, count: int) -> object:
    import rustworkx

    return rustworkx.immediate_dominators(rustworkx_graph(links, count), 0)


def networkit_graph(links: Links, count: int) -> Any:
    import networkit

    data = (np.ones(len(links[0])), links)
    return networkit.GraphFromCoo(data, n=count, directed=True)


def networkit_reach(links: Links, count: int) -> object:
    import networkit

    graph = networkit_graph(links, count)
    search = networkit.distance.BFS(graph, 0, True)
    return np.array(search.run().getDistances())


def networkit_strong(links: Links, count: int) -> object:
    import networkit

    graph = networkit_graph(links, count)  # which the other does not keep alive
    found = networkit.components.StronglyConnectedComponents(graph)
    return np.array(found.run().getPartition().getVector())


def networkit_weak(links: Links, count: int) -> object:
    import networkit

    graph = networkit_graph(links, count)  # which the other does not keep alive
    found = networkit.components.WeaklyConnectedComponents(graph)
    return np.array(found.run().getPartition().getVector())


QUESTIONS = ("reach", "strong", "weak", "dominators")


def answer(library: str, question: str) -> Callable[[Links, int], object] | None:
    """The function for it; None where the library has no answer."""
    found: Callable[[Links, int], object] | None = globals().get(f"{library}_{question}")
    return found


def run_one(library: str, question: str, file: str, limit: int) -> None:
    """Print the seconds, and the MiB at the peak, for the graph in a file."""
    ask = answer(library, question)
    assert ask
    source, target = np.load(file)
    links, count = (source, target), int(target.max()) + 1
    ask(made("list", 100), 100)  # loads the library
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    start = time.process_time()
    ask(links, count)
    seconds = time.process_time() - start
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) << 10
    print(f"{seconds:.1f} {max(peak - held, 0) >> 20}")


def installed_bytes(names: tuple[str, ...]) -> int:
    """Size of the files of distributions."""
    size = 0
    for name in names:
        files = Distribution.from_name(name).files or []
        size += sum(path.stat().st_size for f in files if (path := Path(str(f.locate()))).is_file())
    return size


def table(libraries: list[str], count: int, seconds: int, folder: Path) -> None:
    """Print the table as Markdown, row by row."""
    for shape in SHAPES:
        np.save(folder / f"{shape}.npy", np.array(made(shape, count)))
    print(f"| {count:,} nodes | installed | graph | " + " | ".join(QUESTIONS) + " |")
    print("|---|---|---|" + "---|" * len(QUESTIONS))
    for library in libraries:
        try:
            size = f"{installed_bytes(NEEDS[library]) / 1e6:.0f} MB"
        except PackageNotFoundError:
            continue
        for shape in SHAPES:
            cells = []
            for question in QUESTIONS:
                if answer(library, question) is None:
                    cells.append("none")
                    continue
                one = ["--one", library, question, str(folder / f"{shape}.npy"), str(seconds)]
                command = [sys.executable, __file__, *one]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
                    cells.append(f"over {seconds} s, or no memory")
                elif done.returncode:
                    cells.append("fails")
                else:
                    spent, peak = done.stdout.split()
                    cells.append(f"{spent} s, {int(peak):,} MiB")
            print(f"| {library} | {size} | {shape} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=10_000_000)
    parser.add_argument("--limit", type=int, default=300, help="seconds for an answer")
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=", ".join(NEEDS))
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        library, question, file, limit = args.one
        run_one(library, question, file, int(limit))
        return
    with tempfile.TemporaryDirectory() as folder:
        table(args.libraries or list(NEEDS), args.nodes, args.limit, Path(folder))


if __name__ == "__main__":
    main()
