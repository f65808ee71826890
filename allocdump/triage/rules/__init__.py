# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rules: each looks for one thing in a case, and says why it thinks so.

A rule that finds nothing returns nothing; no rule guesses. What they have in common is
in :mod:`.thresholds`.
"""

from __future__ import annotations

from collections.abc import Callable

from ...commands import WITHOUT_PROFILE
from ..commands import more
from ..evidence import Evidence
from ..verdict import Suspect
from .caches import large_caches
from .files import open_files, unexplained_pages
from .kept import kept_files, kept_keys
from .limits import cgroup_kills, cgroup_limit, cgroup_throttled, elsewhere, fragmentation
from .proof import held_memory, lost_memory, unloaded_modules
from .sites import large_sites
from .trust import empty_slabs, unexplained
from .user import user_memory
from .zombies import zombie_cgroups

Rule = Callable[[Evidence], list[Suspect]]

RULES: list[Rule] = [
    unloaded_modules,
    lost_memory,
    cgroup_limit,
    elsewhere,
    fragmentation,
    user_memory,
    zombie_cgroups,
    open_files,
    kept_files,
    kept_keys,
    held_memory,
    large_sites,
    large_caches,
    empty_slabs,
    unexplained,
    unexplained_pages,
    cgroup_kills,
    cgroup_throttled,
]
"""In the order of suspects that explain equally much."""


def suspects(case: Evidence, rules: list[Rule] | None = None) -> list[Suspect]:
    """Suspects of all rules, strongest first; those about the same thing are merged."""
    found: dict[str, Suspect] = {}
    for rule in RULES if rules is None else rules:
        for suspect in rule(case):
            known = found.get(suspect.subject)
            found[suspect.subject] = suspect if known is None else _merge(known, suspect)
    if not len(case.sites):
        # Some commands have nothing to say without a profile.
        for suspect in found.values():
            work = [c for c in suspect.commands if c.split()[1] in WITHOUT_PROFILE]
            suspect.commands = work or more(case)
    return sorted(found.values(), key=lambda s: (not s.cause, -s.confidence, -(s.bytes or 0)))


def _merge(one: Suspect, other: Suspect) -> Suspect:
    """The stronger one, with the evidence of both."""
    first, second = one, other
    if (other.cause, other.confidence) > (one.cause, one.confidence):
        first, second = other, one
    # What the second claims is evidence for the first.
    for sentence in [second.title, *second.evidence]:
        if sentence not in first.evidence:
            first.evidence.append(sentence)
    first.below = first.below or second.below
    first.commands += [c for c in second.commands if c not in first.commands]
    return first
