"""What `plan` shows: counts by kind, and the states of trials."""

from collections.abc import Iterable, Iterator, Mapping
from math import sqrt
from typing import Any

from rich.table import Table
from rich.text import Text

from orchestrator.costs import solo_cost
from orchestrator.plan import Plan
from orchestrator.store import Running
from trainer.catalog import MODELS, default_learning_rate, multiply_adds
from trainer.trial import TRIAL, Trial

CHANCE_DEVIATIONS = 2
"""A teacher within so many standard deviations of guessing is no better than chance."""

STATES = ("done", "running", "missing", "failed", "blocked")


def states(plan: Plan, running: Mapping[str, Running]) -> dict[str, str]:
    """The state of every trial, by fingerprint."""
    blocked = plan.blocked
    found = {}
    for trial in plan.trials:
        fingerprint = trial.fingerprint
        if fingerprint in plan.done:
            found[fingerprint] = "done"
        elif fingerprint in running:
            found[fingerprint] = "running"
        elif fingerprint in plan.failed:
            found[fingerprint] = "failed"
        elif fingerprint in blocked:
            found[fingerprint] = "blocked"
        else:
            found[fingerprint] = "missing"
    return found


def models_as_json() -> dict[str, dict[str, int]]:
    """Parameters (100 classes) and multiply-adds (a 32x32 image) by name."""
    return {
        name: {"parameters": facts.parameters, "multiply_adds": multiply_adds(name, 32, 100)}
        for name, facts in MODELS.items()
    }


def model_table() -> Table:
    """The architectures with their sizes."""
    table = Table()
    table.add_column("model")
    table.add_column("parameters", justify="right")
    table.add_column("multiply-adds", justify="right")
    table.add_column("learning rate", justify="right")
    for name, facts in MODELS.items():
        sizes = (f"{facts.parameters:,}", f"{multiply_adds(name, 32, 100):,}")
        table.add_row(name, *sizes, f"{default_learning_rate(name):g}")
    return table


def teacher_lines(results: Iterable[Mapping[str, Any]]) -> Iterator[Text]:
    """A line per teacher with its accuracy; one that only guesses is a loud warning."""
    for row in results:
        if row["kind"] != "teacher":
            continue
        data = TRIAL.validate_json(row["trial"]).data
        accuracy, chance = row["test_accuracy"], 1 / data.num_classes
        yield Text(f"teacher {row['teacher']} on {row['dataset']}: accuracy {accuracy:.2%}")
        if accuracy <= chance + CHANCE_DEVIATIONS * sqrt(chance * (1 - chance) / data.test_images):
            yield Text(
                f"WARNING: the teacher {row['teacher']} is no better than chance ({chance:.2%} on "
                f"{row['dataset']}): nothing can be learnt from it, nor from its T. stddev",
                style="bold red",
            )


def counts_by_kind(plan: Plan, running: Mapping[str, Running]) -> dict[str, dict[str, int]]:
    """Number of trials by kind and state."""
    state = states(plan, running)
    kinds = {kind: dict.fromkeys(STATES, 0) for kind in ("teacher", "student", "stddev")}
    for trial in plan.trials:
        kinds[trial.kind][state[trial.fingerprint]] += 1
    return kinds


def plan_table(plan: Plan) -> Table:
    """Counts by kind and state, with the work still to do."""
    table = Table(title=f"{plan.sweep.name}: {len(plan.trials)} trials", title_justify="left")
    table.add_column("kind")
    for heading in ("trials", "done", "missing", "failed", "blocked", "depends on"):
        table.add_column(heading, justify="right" if heading != "depends on" else "left")
    depends_on = {"teacher": "", "student": "teacher", "stddev": "teacher, or student (picks)"}
    for kind, counts in counts_by_kind(plan, {}).items():
        shown = (counts[state] for state in ("done", "missing", "failed", "blocked"))
        table.add_row(kind, str(sum(counts.values())), *map(str, shown), depends_on[kind])
    work = sum(solo_cost(trial) for trial in plan.missing)
    caption = f"missing: {work / 1e15:.3g} peta multiply-adds, if every trial ran alone"
    if plan.unknown:
        absent = ", ".join(plan.absent_checkpoints)
        caption += f"\nfingerprints of {len(plan.unknown)} trials are unknown without {absent}"
    table.caption = "\n".join([caption, *(f"WARNING: {w}" for w in plan.warnings)])
    return table


def plan_as_json(plan: Plan, running: Mapping[str, Running] | None = None) -> dict[str, Any]:
    """The plan for scripts: counts by kind, and every trial with its state and dependencies."""
    running = running or {}
    state, unknown = states(plan, running), plan.unknown
    return {
        "name": plan.sweep.name,
        "absent_checkpoints": list(plan.absent_checkpoints),
        "warnings": list(plan.warnings),
        "counts": counts_by_kind(plan, running),
        "trials": [
            _trial_as_json(t, state[t.fingerprint], plan)
            | {"is_known": t.fingerprint not in unknown}
            for t in plan.trials
        ],
    }


def _trial_as_json(trial: Trial, state: str, plan: Plan) -> dict[str, Any]:
    return {
        "fingerprint": trial.fingerprint,
        "kind": trial.kind,
        "dataset": trial.dataset,
        "teacher": trial.teacher,
        "student": trial.student,
        "augmentation": trial.augmentation,
        "seed": trial.seed,
        "depends_on": list(trial.depends_on),
        "state": state,
        "error": plan.failed.get(trial.fingerprint),
    }
