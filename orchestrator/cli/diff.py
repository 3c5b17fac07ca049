"""The command that tells what differs between two trials, or two sweeps."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.console import DONE, print_json, stdout
from orchestrator.cli.opening import DEFAULT_STORE, existing_store, names_a_sweep
from orchestrator.cli.options import Json, StoreOfSweep

if TYPE_CHECKING:
    from orchestrator.store.store import Store
    from orchestrator.upkeep.differences import Difference, Results
    from trainer.trial import Trial

DIFFERENT = 1

One = Annotated[
    str,
    typer.Argument(metavar="A", help="A trial, by the beginning of its fingerprint, or a sweep."),
]
Other = Annotated[str, typer.Argument(metavar="B", help="As A: another one of its kind.")]


def add_commands(app: typer.Typer) -> None:
    """Add it to the command `kdsweep`."""
    app.command(
        epilog="Example: `kdsweep diff 3f9a1c 80be42 --store kdsweep-store`, or `kdsweep diff mine.yaml quickstart`"
    )(diff)


def diff(one: One, other: Other, store: StoreOfSweep = None, as_json: Json = False) -> None:
    """Tell what differs between two trials and their results, or two sweeps. Exit code 0: nothing, 1: something."""
    from trainer.problems import UserError

    are_sweeps = [names_a_sweep(name) for name in (one, other)]
    if all(are_sweeps):
        if store is not None:
            raise UserError(f"--store {store}: goes with trials; {one} and {other} are sweeps")
        found, lines = _of_sweeps(Path(one), Path(other))
    elif any(are_sweeps):
        raise UserError(f"{one} and {other}: a sweep and none; expected two sweeps or two trials")
    else:
        opened = existing_store(store or os.environ.get("KDSWEEP_STORE") or DEFAULT_STORE)
        found, lines = _of_trials(opened, one, other)
    if as_json:
        print_json(found)
    else:
        for line in lines:
            stdout().print(line, soft_wrap=True)
    sys.exit(DONE if found["is_equal"] else DIFFERENT)


def _of_sweeps(one: Path, other: Path) -> tuple[dict[str, Any], list[str]]:
    from orchestrator.language.sweep import load_sweep
    from orchestrator.planning.guests import only_read
    from orchestrator.planning.plan import trials_of
    from orchestrator.upkeep.differences import differences
    from trainer.problems import UserError

    first, second = load_sweep(one), load_sweep(other)
    fields = differences(first.model_dump(mode="json"), second.model_dump(mode="json"))
    lines = _told(fields, "the sweeps say the same")
    trials: dict[str, int] | None = None
    try:
        of_first, of_second = (
            {t.fingerprint for t in trials_of(sweep, guests=only_read)} for sweep in (first, second)
        )
    except UserError as error:
        lines.append(f"trials: not known, {error}")
    else:
        trials = {
            "both": len(of_first & of_second),
            "only_a": len(of_first - of_second),
            "only_b": len(of_second - of_first),
        }
        lines.append(
            "trials: {both} of both, {only_a} of A alone, {only_b} of B alone".format(**trials)
        )
    found = {"kind": "sweep", "fields": _as_json(fields), "trials": trials, "is_equal": not fields}
    return found, lines


def _of_trials(store: "Store", one: str, other: str) -> tuple[dict[str, Any], list[str]]:
    from orchestrator.planning.named_trials import trial_named
    from orchestrator.upkeep.differences import compared, differences

    first, second = trial_named(store, one), trial_named(store, other)
    named = (first.fingerprint, second.fingerprint)
    fields = differences(_said(first), _said(second))
    lines = _told(fields, "one trial: nothing of it differs")
    unfinished = [
        f"{fp[:12]} has none yet" for fp in dict.fromkeys(named) if fp not in store.finished()
    ]
    results = None if unfinished else compared(store, named[0], store, named[1])
    lines += [f"results: {', '.join(unfinished)}"] if results is None else _told_of(results)
    found = {
        "kind": "trial",
        "fingerprints": list(named),
        "fields": _as_json(fields),
        "results": results and _as_json(results.metrics),
        "has_equal_bits": results and results.has_equal_bits,
        "is_equal": not fields,
    }
    return found, lines


def _said(trial: "Trial") -> dict[str, Any]:
    """All of a trial but what follows from a file of models, which is known only where one was built."""
    from trainer.trial import GUESTS

    said = trial.model_dump(mode="json")
    for role in GUESTS:
        guest = getattr(trial, role, None)
        if guest is not None and guest.file is not None:
            del said[role]["description"]
    return said


def _told(fields: "Sequence[Difference]", nothing: str) -> list[str]:
    from trainer.problems import printable

    return [printable(str(difference)) for difference in fields] or [nothing]


def _told_of(results: "Results") -> list[str]:
    if results.has_equal_bits:
        return ["results: equal in every bit"]
    parts = {"curve": results.is_curve_equal, "weights": results.are_weights_equal}
    differing = [name for name, is_equal in parts.items() if is_equal is False]
    lines = [f"results: {difference}" for difference in results.metrics]
    return lines + [f"results: {' and '.join(differing)} differ"] * bool(differing)


def _as_json(fields: "Sequence[Difference]") -> list[dict[str, Any]]:
    return [asdict(difference) for difference in fields]
