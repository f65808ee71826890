# SPDX-License-Identifier: LGPL-2.1-or-later
"""An opened dump, and what can be asked of it."""

from __future__ import annotations

from functools import cached_property

from .analysis.report import Origin, Report
from .dump.program import Dump as ProgramDump
from .errors import ProfilingError
from .kernel.allocinfo import allocinfo_header
from .kernel.damage import damage_cause
from .kernel.log import KernelLog, kernel_log
from .kernel.profile import read_profile
from .kernel.profiling import profiling
from .kernel.system import system


class Dump:
    """A vmcore or the running kernel, opened with :func:`allocdump.open`."""

    def __init__(self, opened: ProgramDump) -> None:
        self._opened = opened
        self.prog = opened.prog
        """The :class:`drgn.Program`, for everything that allocdump does not do."""

    @cached_property
    def log(self) -> KernelLog:
        """The kernel log."""
        return kernel_log(self.prog)

    @cached_property
    def origin(self) -> Origin:
        """Which kernel this is, how it died, and the state of profiling.

        :raises ProfilingError: if the kernel was built without allocation profiling
        """
        opened = self._opened
        return Origin(
            core=opened.core.path,
            format=opened.core.describe(),
            types=opened.types,
            system=system(self.prog, opened.vmcoreinfo),
            reason=self.log.panic_message(),
            profiling=profiling(self.prog),
        )

    def report(self) -> Report:
        """All call sites with their counters.

        :raises ProfilingError: if the kernel kept none: built without allocation
            profiling, or it was never enabled
        """
        origin = self.origin
        if origin.profiling.state == "never":
            raise _never(origin)
        profile = read_profile(self.prog, self.log.unload_messages())
        done, warnings = profile.completeness, list(self._opened.warnings)
        if origin.profiling.state == "off":
            if done.complete and not (profile.sites.bytes.any() or profile.sites.calls.any()):
                raise _never(origin)
            warnings.append(
                "Profiling was off when the kernel died: memory allocated meanwhile has no"
                " call site, and memory freed meanwhile is still counted."
            )
        if self.log.error:
            warnings.append(f"The kernel log is unreadable: {self.log.error}.")
        if done.problems:
            cause = damage_cause(self.prog, self._opened.core)
            warnings += [f"Damaged dump: {problem}." for problem in done.problems]
            if cause:
                warnings.append(f"The cause: {cause}.")
        return Report(origin, profile.sites, profile.types, done, warnings)

    def allocinfo_header(self) -> str | None:
        """The two lines that this kernel prints above /proc/allocinfo, if they are readable."""
        return allocinfo_header(self.prog)


def _never(origin: Origin) -> ProfilingError:
    return ProfilingError(
        f"{origin.core}: allocation profiling was never enabled on this machine, so there is"
        " nothing to report; boot with sysctl.vm.mem_profiling=1."
    )
