"""Builds kernels and makes real dumps of them, with the truth beside each dump.

Everything is made in the work folder: $ALLOCDUMP_LAB, or .lab in the
repository. Steps already done are skipped; remove a folder to do it again.
scripts/lab/README.md tells more.
"""

import argparse
import sys
from pathlib import Path

from steps import crash, kernels, pack, testdata, work


def main() -> None:
    arguments = parser().parse_args()
    try:
        arguments.command(arguments)
    except work.LabError as reason:
        sys.exit(f"lab: {reason}")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    make = commands.add_parser(
        "kernel", help="build a kernel and our modules (about 8 minutes), or unpack a stock one"
    )
    make.add_argument("name", metavar="NAME", nargs="+", help="a kernel of scripts/lab/kernels")
    make.set_defaults(command=build_kernels)

    dump = commands.add_parser(
        "dump", help="boot a kernel, let it crash, save the dump (20 seconds)"
    )
    dump.add_argument("kernel", metavar="KERNEL", help="a kernel of scripts/lab/kernels")
    dump.add_argument("scenario", metavar="SCENARIO", help="a scenario of scripts/lab/scenarios")
    dump.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="where (default: in the work folder)"
    )
    accelerator(dump)
    dump.set_defaults(command=make_dump)

    data = commands.add_parser("testdata", help="make every dump of testdata again")
    data.add_argument("folder", metavar="FOLDER", nargs="*", help="only these folders of testdata")
    accelerator(data)
    data.set_defaults(command=make_testdata)

    packs = commands.add_parser("pack", help="make a dump a third smaller, to be committed")
    packs.add_argument("dump", metavar="VMCORE", nargs="+", type=Path, help="becomes VMCORE.zst")
    packs.set_defaults(command=pack_dumps)

    show = commands.add_parser("list", help="kernels, scenarios, and the dumps of testdata")
    show.set_defaults(command=show_list)
    return top


def accelerator(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--accel", default="tcg", help="QEMU's accelerator; tcg works everywhere, kvm is faster"
    )


def build_kernels(arguments: argparse.Namespace) -> None:
    for name in arguments.name:
        kernels.make(kernels.load(name))
        work.say(f"kernel {name} is ready")


def make_dump(arguments: argparse.Namespace) -> None:
    folder = arguments.output or work.WORK / "dumps" / f"{arguments.kernel}-{arguments.scenario}"
    kernel = kernels.load(arguments.kernel)
    scenario = crash.load(arguments.scenario)
    kernels.make(kernel)
    crash.dump(kernel, scenario, folder, arguments.accel)
    work.say(f"made {folder}")


def make_testdata(arguments: argparse.Namespace) -> None:
    testdata.make(arguments.folder, arguments.accel)


def pack_dumps(arguments: argparse.Namespace) -> None:
    for dump in arguments.dump:
        pack.pack(dump)
        crash.sums(dump.parent)


def show_list(arguments: argparse.Namespace) -> None:
    for kind in "kernels", "scenarios":
        print(f"{kind}:")
        for name in work.names(kind):
            print(f"  {name:<18} {work.summary(kind, name)}")
    print("testdata:")
    for entry in testdata.entries():
        print(f"  {entry.folder:<20} lab dump {entry.kernel} {entry.scenario}")


if __name__ == "__main__":
    main()
