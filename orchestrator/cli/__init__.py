"""The command line: words, options and how things are printed. It wires the other rooms together, and nothing else."""

import sys

from orchestrator.store.provenance import PACKAGES, TOP
from orchestrator.worker.own_packages import pin

# Before a command is imported: what it imports might be a stranger's.
try:
    pin(str(TOP), PACKAGES)
except ImportError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(2)
