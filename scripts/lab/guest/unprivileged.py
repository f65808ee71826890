"""Runs allocdump as nobody, in the guest; what it is made of only root may read there."""

import os
import sys

from allocdump import session  # noqa: F401
from allocdump.cli import load, main
from allocdump.commands import COMMANDS

for name in COMMANDS:
    load(name)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.argv[0] = "allocdump"
main()
