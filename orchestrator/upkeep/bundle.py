"""The evidence bundle: one zip with all that a claim rests on, and checksums over it.

results.parquet epochs.parquet failures.parquet    the tables, each in one file
sweeps/NAME.json                                   every sweep as it was resolved
power/NAME.json                                    what sweeps were said to show, and when
tables.txt tables.json plots/scatter.png .svg      what the results say
environment.json                                   versions, commits, devices and commands of all rows
MANIFEST.json                                      SHA-256 of every file above
"""

import hashlib
import importlib.metadata
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.language.sweep import Sweep
from orchestrator.planning.guests import only_read
from orchestrator.planning.kept_sweeps import of_sweeps, planned_together
from orchestrator.planning.plan import expand
from orchestrator.store.provenance import provenance
from orchestrator.store.store import Store, sweep_name
from trainer.files import write_atomically
from trainer.problems import UserError
from trainer.trial import Trial

RECORDED = (
    *("kdsweep_version", "git_commit", "git_dirty", "python_version", "torch_version"),
    *("ray_version", "cuda_version", "device", "num_threads", "host", "command", "environment"),
)
EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)
"""A fixed time, so that equal content makes an equal bundle."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def export(store: Store, path: Path, sweep: Sweep | None = None) -> list[str]:
    """Write the bundle; the names in it.

    Args:
        store: where the results are.
        path: the zip file.
        sweep: whose trials alone are bundled; None: everything, and what was imported.

    Raises:
        UserError: there are no results.
    """
    trials = None if sweep is None else expand(sweep, guests=only_read)
    results = store.results(None if trials is None else [t.fingerprint for t in trials])
    if not results.num_rows:
        whose = f"no trial of {sweep.name}" if sweep else "no trial"
        raise UserError(f"{store.address}: {whose} has finished yet; there is nothing to export")
    files = dict(_files(store, results, sweep, trials))
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files["MANIFEST.json"] = _json(sums)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(zipfile.ZipInfo(name, EPOCH_OF_ZIP), content, zipfile.ZIP_DEFLATED)
    write_atomically(path, buffer.getvalue())
    return list(files)


def _files(
    store: Store, results: pa.Table, sweep: Sweep | None, trials: Sequence[Trial] | None
) -> Iterator[tuple[str, bytes]]:
    wanted = None if trials is None else frozenset(trial.fingerprint for trial in trials)
    for name, table in store.tables.items():
        yield f"{name}.parquet", _parquet(_of_trials(table.read(), wanted))
    if sweep is None:
        for name, content in store.sweeps().items():
            if _NAME.fullmatch(name):
                yield f"sweeps/{name}.json", content
    else:
        yield f"sweeps/{sweep.name}.json", _json(sweep.model_dump(mode="json"))
    for name, content in store.stated_power().items():
        if _NAME.fullmatch(name) and (sweep is None or sweep_name(name) == sweep.name):
            yield f"power/{name}.json", content
    yield "environment.json", _json(_environment(results))
    yield from _reports(store, sweep, trials)


def _of_trials(table: pa.Table, wanted: frozenset[str] | None) -> pa.Table:
    if wanted is None:
        return table
    return table.filter(pc.is_in(table["fingerprint"], pa.array(sorted(wanted))))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


def _environment(results: pa.Table) -> dict[str, Any]:
    """What made the rows, and what is installed where the bundle is made."""
    recorded = {name: sorted({str(v) for v in results[name].to_pylist()}) for name in RECORDED}
    installed = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    return {"of_the_rows": recorded, "of_this_export": provenance(), "installed": installed}


def _reports(
    store: Store, sweep: Sweep | None, trials: Sequence[Trial] | None
) -> Iterator[tuple[str, bytes]]:
    from rich.console import Console

    from analysis.combinations import Planned
    from analysis.evidence import weigh
    from analysis.formats import terminal
    from analysis.order import PAPER, arranged, arranged_teachers, order_of
    from analysis.plots import draw_scatter
    from analysis.points import panels
    from analysis.rows import read_rows
    from analysis.tables import as_json, table_grids
    from analysis.teachers import teachers_alone

    rows = read_rows(store, trials=trials)
    told = of_sweeps([(sweep, trials)]) if sweep and trials else planned_together(store)
    order = order_of(sweep) if sweep else PAPER
    shown = arranged(panels(rows, Planned(*told)), order)
    findings, teachers = weigh(shown), arranged_teachers(teachers_alone(rows, shown), order)
    text = io.StringIO()
    console = Console(file=text, width=240)
    for part in terminal(table_grids(shown, findings, teachers=teachers), console.width):
        console.print(part)
    yield "tables.txt", text.getvalue().encode()
    yield "tables.json", _json(as_json(shown, findings, teachers=teachers))
    if any(panel.complete for panel in shown):
        with tempfile.TemporaryDirectory() as folder:
            for ending in ("png", "svg"):
                picture = Path(folder) / f"scatter.{ending}"
                draw_scatter(findings, picture)
                yield f"plots/{picture.name}", picture.read_bytes()
