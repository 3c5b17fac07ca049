"""Where a node of an allocation keeps what is its own: on the disk of the node, in a folder of 0700."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.cluster.run_folder import RunFolder, run_folder
from orchestrator.cluster.slurm.allocation import Allocation


@contextmanager
def scratch_folder(here: Allocation) -> Iterator[RunFolder]:
    """As a run's, in the job's own scratch where the site makes one, else in the usual temporary folder.

    Raises:
        UserError: none can be written.
    """
    if here.scratch:
        os.environ.setdefault("RAY_TMPDIR", here.scratch)
    with run_folder() as folder:
        yield folder
