"""Takes out of a dump what labtruth left inside it.

Only physical addresses from the console and bytes of the dump are used: a
truth that was made with the code it judges would not be one.
"""

import re
from pathlib import Path

from . import work

NUMBER = "(0x[0-9a-f]+)"
WHERE = re.compile(
    f"labtruth: text phys={NUMBER} size={NUMBER} records phys={NUMBER} size={NUMBER}"
)
LINE = re.compile(r" *-?\d+ +\d+ \S+:\d+ (\[\S+\] )?func:\S+( accurate:no)? $")
RECORDS_HEADER = "# kind address size line state pfn module\n"


def extract(vmcore: Path, console: Path, folder: Path) -> None:
    """Writes truth.allocinfo and truth.allocations, whichever the dump has."""
    where = WHERE.search(console.read_text(errors="replace"))
    if not where:
        return
    text, text_size, records, records_size = (int(group, 16) for group in where.groups())
    if text:
        (folder / "truth.allocinfo").write_bytes(checked(_read(vmcore, text, text_size)))
    if lines := _read(vmcore, records, records_size):
        (folder / "truth.allocations").write_bytes(RECORDS_HEADER.encode() + lines)


def _read(vmcore: Path, physical: int, size: int) -> bytes:
    """Returns the text at a physical address, up to its end."""
    try:
        import drgn
    except ImportError:
        raise work.LabError("drgn is missing: run the lab with the project's own Python") from None
    program = drgn.Program()
    program.set_core_dump(str(vmcore))
    page = 4096
    data = b""
    while len(data) < size:
        # Zero pages may be left out of a dump; text ends at the first zero.
        data += program.read(physical + len(data), page, physical=True)
        if 0 in data[-page:]:
            break
    return data.split(b"\0")[0]


def checked(text: bytes) -> bytes:
    """Returns the report if it is whole: header, then nothing but sites."""
    lines = text.decode().splitlines()
    if not lines or not lines[0].startswith("allocinfo - version:") or not lines[1].startswith("#"):
        raise work.LabError("the report inside the dump has no header")
    if bad := next((line for line in lines[2:] if not LINE.match(line)), None):
        raise work.LabError(f"the report inside the dump has a strange line: {bad!r}")
    return text
