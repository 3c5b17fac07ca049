"""The commands that look after a store: verify, export, compact and prune."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import DONE, SOME_FAILED, print_json, stderr, stdout
from orchestrator.cli.opening import existing_store, open_shown
from orchestrator.cli.options import Changes, DryRun, Json, Source, StoreAddress, StoreOfSweep
from orchestrator.cli.output import writing


def add_commands(app: typer.Typer) -> None:
    """Add them to the command `kdsweep`."""
    app.command(epilog="Example: `kdsweep verify kdsweep-store`")(verify)
    app.command(epilog="Example: `kdsweep export kdsweep-store -o bundle.zip`")(export)
    app.command(epilog="Example: `kdsweep compact kdsweep-store`")(compact)
    app.command(epilog="Example: `kdsweep prune kdsweep-store checkpoints --dry-run`")(prune)


def verify(store: StoreAddress, as_json: Json = False) -> None:
    """Re-check every file, fingerprint, dependency and checksum; say what is broken and how to mend it."""
    from orchestrator.upkeep import verification

    opened = existing_store(store)
    findings = verification.verify(opened)
    broken = [finding for finding in findings if not finding.is_note]
    if as_json:
        print_json(verification.as_json(findings))
    else:
        for finding in findings:
            kind = "note" if finding.is_note else "mend"
            text = f"{finding.where}: {finding.problem}\n    {kind}: {finding.mend}"
            stdout().print(text, markup=False, soft_wrap=True)
        told = f"{len(broken)} findings" if broken else "nothing is broken"
        stdout().print(f"{len(opened.finished())} finished trials, {told}")
    sys.exit(SOME_FAILED if broken else DONE)


def export(
    source: Source,
    store: StoreOfSweep = None,
    changes: Changes = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip file to write.")] = Path(
        "bundle.zip"
    ),
) -> None:
    """Make one evidence bundle: Parquet, resolved sweeps, environment, tables, plots and checksums."""
    from orchestrator.upkeep import bundle

    shown = open_shown(source, store, changes)
    with writing(output):
        names = bundle.export(shown.store, output, shown.plan.sweep if shown.plan else None)
    stdout().print(f"{output}: {len(names)} files", soft_wrap=True)


def compact(store: StoreAddress) -> None:
    """Merge the many small files of a store; runs and readers may go on meanwhile."""
    for name, done in existing_store(store).compact().items():
        files = f"{done.files_before} files are now {done.files_after}"
        stdout().print(f"{name}: {done.rows} rows; {files}")


def prune(
    store: StoreAddress,
    what: Annotated[
        list[str],
        typer.Argument(
            help="checkpoints, student-weights, teacher-weights, failures, damaged, unnamed, or a fingerprint."
        ),
    ],
    dry_run: DryRun = False,
) -> None:
    """Remove what you name from a store."""
    from orchestrator.upkeep.pruning import carry_out, removals

    opened = existing_store(store)
    opened.signs.until_known(lambda text: stderr().print(text, soft_wrap=True))
    to_remove = removals(opened, what, lambda text: stdout().print(text, soft_wrap=True))
    for removal in to_remove:
        stdout().print(f"{removal.what} ({removal.num_bytes:,} bytes)", soft_wrap=True)
    if not dry_run:
        carry_out(to_remove)
    freed = sum(removal.num_bytes for removal in to_remove)
    verb = "would be removed" if dry_run else "removed"
    stdout().print(f"{len(to_remove)} {verb}, {freed:,} bytes")
