"""What `plan` shows: counts by kind, and the states of trials."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from rich.table import Table
from rich.text import Text

from orchestrator.driver.view import describe
from orchestrator.language.settings import KINDS
from orchestrator.planning.bill import Bill, Forecast
from orchestrator.planning.plan import Plan
from orchestrator.store.records import identity_columns
from orchestrator.store.store import Running, stored_trial
from trainer.catalog import MODELS, default_learning_rate, multiply_adds
from trainer.trial import Trial

CHANCE_DEVIATIONS = 2
"""A teacher within so many standard deviations of guessing is no better than chance."""

FIRST_JOBS = 10

STATES = ("done", "running", "missing", "failed", "blocked")


def states(plan: Plan, running: Mapping[str, Running]) -> dict[str, str]:
    """The state of every trial, by fingerprint."""
    blocked = plan.blocked
    found = {}
    for trial in plan.trials:
        fingerprint = trial.fingerprint
        if fingerprint in plan.done:
            found[fingerprint] = "done"
        elif fingerprint in running and running[fingerprint].step is not None:
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
        data = stored_trial(row).data
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
    kinds: dict[str, dict[str, int]] = {kind: dict.fromkeys(STATES, 0) for kind in KINDS}
    for trial in plan.trials:
        kinds[trial.kind][state[trial.fingerprint]] += 1
    return kinds


def plan_table(plan: Plan, bill: Bill) -> Table:
    """Counts by kind and state, with the bill for what is missing."""
    table = Table(title=f"{plan.sweep.name}: {len(plan.trials)} trials", title_justify="left")
    table.add_column("kind")
    for heading in ("trials", "done", "missing", "failed", "blocked", "depends on"):
        table.add_column(heading, justify="right" if heading != "depends on" else "left")
    depends_on = {"teacher": "", "student": "teacher", "stddev": "teacher, or student (picks)"}
    for kind, counts in counts_by_kind(plan, {}).items():
        shown = (counts[state] for state in ("done", "missing", "failed", "blocked"))
        table.add_row(kind, str(sum(counts.values())), *map(str, shown), depends_on[kind])
    caption = (
        f"missing: {rounded(bill.pflop)} PFLOP; alone the trials would take {rounded(bill.pflop_alone)}: "
        f"lockstep saves {bill.saved:.0%}\n"
        f"{span(bill.gpu_hours)} of one GPU, longest chain {span(bill.longest_chain_hours)}, "
        f"at {bill.throughput.tflops:.3g} TFLOP/s per GPU ({bill.throughput.source})"
    )
    if plan.unknown:
        absent = ", ".join(plan.absent_checkpoints)
        caption += f"\nfingerprints of {len(plan.unknown)} trials are unknown without {absent}"
    table.caption = "\n".join([caption, *(f"WARNING: {w}" for w in plan.warnings)])
    return table


@dataclass(frozen=True)
class Unit:
    """A unit of time in which figures are neither tiny nor huge."""

    name: str
    per_hour: float

    def number(self, hours: float) -> str:
        return f"{hours * self.per_hour:,.1f}"

    def span(self, hours: float) -> str:
        """`5.8 h`."""
        return f"{self.number(hours)} {self.name}"


def unit_of(hours: float) -> Unit:
    """Hours, minutes or seconds, whichever the longest of some spans is readable in."""
    if hours >= 1:
        return Unit("h", 1)
    return Unit("min", 60) if hours >= 1 / 60 else Unit("s", 3600)


def span(hours: float) -> str:
    """A length of time by itself: `5.8 h`."""
    return unit_of(hours).span(hours)


def rounded(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def forecast_table(forecasts: Iterable[Forecast]) -> Table:
    """What simulated runs came to."""
    forecasts = list(forecasts)
    unit = unit_of(max(found.hours for found in forecasts))
    table = Table(title="simulated", title_justify="left")
    makespan, bound = f"makespan {unit.name}", f"lower bound {unit.name}"
    for heading in ("GPUs", "jobs", makespan, "GPUs busy", bound, "over it"):
        table.add_column(heading, justify="right")
    for found in forecasts:
        table.add_row(
            str(found.gpus),
            str(len(found.jobs)),
            unit.number(found.hours),
            f"{found.busy:.0%}",
            unit.number(found.bound_hours),
            f"{found.over_bound:.1%}",
        )
    return table


def order_table(found: Forecast) -> Table:
    """The first jobs of a simulated run."""
    table = Table(title=f"order of work on {found.where}", title_justify="left")
    unit = unit_of(found.hours)
    table.add_column(f"from {unit.name}", justify="right")
    table.add_column(f"to {unit.name}", justify="right")
    table.add_column("job")
    for job in found.jobs[:FIRST_JOBS]:
        table.add_row(unit.number(job.start), unit.number(job.end), describe(job.trials))
    if left := len(found.jobs) - FIRST_JOBS:
        table.caption = f"and {left} more: --html FILE draws them all" if left > 0 else None
    return table


def plan_as_dot(plan: Plan) -> str:
    """The trials and what they depend on, for Graphviz: trials of one kind, pair and seed are one node."""
    nodes: dict[str, int] = {}
    node_of: dict[str, str] = {}
    edges: set[tuple[str, str]] = set()
    for trial in plan.trials:
        parts = (trial.kind, trial.dataset, trial.teacher, trial.student)
        seed = "" if trial.kind == "teacher" else f"\\nseed {trial.seed}"
        name = " ".join(part for part in parts if part) + seed
        nodes[name] = nodes.get(name, 0) + 1
        node_of[trial.fingerprint] = name
        edges.update((node_of[needed], name) for needed in trial.depends_on if needed in node_of)
    lines = [f'  "{name}" [label="{name}\\n{count} trials"];' for name, count in nodes.items()]
    lines += [f'  "{one}" -> "{other}";' for one, other in sorted(edges)]
    return "\n".join(["digraph sweep {", "  rankdir=LR; node [shape=box];", *lines, "}"])


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
        **identity_columns(trial),
        "depends_on": list(trial.depends_on),
        "state": state,
        "error": plan.failed.get(trial.fingerprint)
        or plan.failed_by_machine.get(trial.fingerprint),
    }
