"""Reads /proc/allocinfo, has a report made, and reads it again: in the guest.

    around.py FOLDER report ARGUMENT...     the report that allocdump makes with these
    around.py FOLDER                        one that is made elsewhere, up to a line on ttyS1

Writes FOLDER/before and FOLDER/after. Nothing of this may show up as a change: the file
stays open, all memory is there from the beginning, and one report is made before.
"""

import contextlib
import io
import os
import sys
from pathlib import Path
from unittest.mock import patch

SIZE = 4 << 20


class Reading:
    def __init__(self, file: int) -> None:
        self.file = file
        self.text = bytearray(b"x" * SIZE)
        self.length = 0

    def read(self) -> None:
        os.lseek(self.file, 0, os.SEEK_SET)
        view = memoryview(self.text)
        self.length = 0
        while count := os.readv(self.file, [view[self.length :]]):
            self.length += count


def main() -> None:
    folder, *command = sys.argv[1:]
    file = os.open("/proc/allocinfo", os.O_RDONLY)
    before, after, rehearsal = (Reading(file) for _ in range(3))
    rehearsal.read()
    try:
        if command:
            around_report(command, before, after)
        else:
            around_line(before, after)
    finally:
        for name, reading in ("before", before), ("after", after):
            Path(folder, name).write_bytes(reading.text[: reading.length])


def around_report(command: list[str], before: Reading, after: Reading) -> None:
    from allocdump.analysis.report import Report
    from allocdump.cli import cli
    from allocdump.session import Session

    with contextlib.redirect_stdout(io.StringIO()):
        cli.main(command, standalone_mode=False)
    make = Session._read_report
    dumps = []

    def around(dump: Session) -> Report:
        dumps.append(dump)  # it and its file stay, too
        before.read()
        report = make(dump)
        after.read()
        return report

    with patch.object(Session, "_read_report", around):
        cli.main(command, standalone_mode=False)


def around_line(before: Reading, after: Reading) -> None:
    with open("/dev/ttyS1", "r+b", buffering=0) as host:
        host.write(b"waiting\n")
        before.read()
        host.read(1)
        after.read()


if __name__ == "__main__":
    main()
