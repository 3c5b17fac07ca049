"""What reading a store of many small files costs: the digest in each name, and reading only what is needed.

    python benchmarks/store_reading.py [--rows 10000]

Everything is timed in one process, alternating, in CPU seconds of this process; the table gives medians of
five rounds. `whole, as before` is how files were read before their names had digests: every column, with
threads of Arrow's own.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import expand, make_plan
from orchestrator.store.names import short_digest
from orchestrator.store.provenance import provenance
from orchestrator.store.records import identity_columns
from orchestrator.store.store import Store
from trainer.trial import Trial

ROUNDS = 5


def cpu_seconds(act: Callable[[], object]) -> float:
    before = time.process_time()
    act()
    return time.process_time() - before


def fill(store: Store, trials: Sequence[Trial]) -> None:
    about = provenance()
    for number, trial in enumerate(trials):
        row = {
            **identity_columns(trial),
            **about,
            "trial": trial.model_dump_json(),
            "device": "cpu",
            "device_seconds": 10.0,
            "job_id": str(number // 9),
            "group_size": 9,
            "num_attempts": 1,
        }
        store.rows.tables["results"].add(trial.fingerprint, [row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    wanted = parser.parse_args().rows
    seeds = -(-wanted // 90)
    paper = load_sweep("paper_cifar100")
    sweep = paper.model_copy(update={"seeds": tuple(range(seeds))})
    trials = [t for t in expand(sweep) if t.kind != "teacher"][:wanted]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        fill(store, trials)
        paths = sorted((Path(folder) / "results").glob("*.parquet"))
        contents = [path.read_bytes() for path in paths]
        table = store.rows.tables["results"]
        ways: dict[str, Callable[[], object]] = {
            "whole, as before": lambda: [pq.read_table(io.BytesIO(c)) for c in contents],
            "digests alone": lambda: [short_digest(content) for content in contents],
            "all columns": table.read,
            "the columns of a bill": lambda: table.read(
                columns=("trial", "job_id", "group_size", "num_attempts", "device")
            ),
            "fingerprints": store.finished,
            "plan": lambda: make_plan(sweep, store, retry_failed=False),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, act in ways.items():
                times[name].append(cpu_seconds(act))
        store.compact()
        times["all columns, compacted"] = [cpu_seconds(table.read) for _ in range(ROUNDS)]
    base = statistics.median(times["whole, as before"])
    print(f"{len(contents):,} files of {sum(map(len, contents)) / len(contents):,.0f} bytes")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:<24} {median:8.3f} s  {median / base:6.3f} of whole, as before")


if __name__ == "__main__":
    main()
