"""What `plan` shows: counts and the bill as tables, the dependencies for Graphviz, everything for scripts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from orchestrator.planning.bill import Bill, Forecast, Share
from orchestrator.planning.plan import Plan
from orchestrator.planning.remarks import remarks
from orchestrator.planning.states import counts_by_kind, states
from orchestrator.planning.words import describe, rounded, span, unit_of
from orchestrator.store.records import identity_columns
from orchestrator.store.signs import Running
from trainer.trial import Trial

FIRST_JOBS = 10


def plan_table(plan: Plan, bill: Bill) -> Table:
    """Counts by kind and state, with the bill for what is missing."""
    table = Table(title=f"{plan.sweep.name}: {len(plan.trials)} trials", title_justify="left")
    table.add_column("kind")
    for heading in ("trials", "done", "missing", "failed", "blocked", "depends on"):
        table.add_column(heading, justify="right" if heading != "depends on" else "left")
    depends_on = {"teacher": "", "student": "teacher", "stddev": "teacher, or student (picks)"}
    depends_on["predictor"] = depends_on["stddev"]
    for kind, counts in counts_by_kind(plan, {}).items():
        shown = (counts[state] for state in ("done", "missing", "failed", "blocked"))
        table.add_row(kind, str(sum(counts.values())), *map(str, shown), depends_on[kind])
    caption = (
        f"missing: {rounded(bill.pflop)} PFLOP; alone the trials would take {rounded(bill.pflop_alone)}: "
        f"lockstep saves {bill.saved:.0%}\n"
    )
    if (here := bill.on_cpus) is not None:
        caption += (
            f"here, without a GPU: {span(here.hours)} on {here.cpus} {'CPU' if here.cpus == 1 else 'CPUs'}, "
            f"at {here.throughput.tflops:.3g} TFLOP/s per CPU ({here.throughput.source})\nelsewhere: "
        )
    caption += (
        f"{span(bill.gpu_hours)} of one GPU, longest chain {span(bill.longest_chain_hours)}, "
        f"at {bill.throughput.tflops:.3g} TFLOP/s per GPU ({bill.throughput.source})"
    )
    if plan.unknown:
        absent = ", ".join(plan.absent_checkpoints)
        caption += f"\nfingerprints of {len(plan.unknown)} trials are unknown without {absent}"
    warnings = (f"WARNING: {w}" for w in plan.warnings)
    table.caption = "\n".join([caption, *remarks(plan.sweep), *warnings])
    return table


def share_table(shares: Sequence[Share]) -> Table:
    """Hours of one GPU per pair and per teacher, and what they go into."""
    unit = unit_of(max(share.hours for share in shares))
    table = Table(title="by pair", title_justify="left")
    for heading in ("data set", "teacher/student", "trials", unit.name, "time goes into"):
        is_number = heading in ("trials", unit.name)
        table.add_column(heading, justify="right" if is_number else "left")
    for share in shares:
        models = f"{share.teacher}/{share.student}" if share.student else share.teacher
        ordered = sorted(share.limits.items(), key=lambda limit: -limit[1])
        told = ", ".join(f"{limit} {part:.0%}" for limit, part in ordered)
        table.add_row(share.dataset, models, str(share.trials), unit.number(share.hours), told)
    table.caption = (
        "a teacher by itself: its training and T. stddev; "
        "pairs of one teacher share passes where they run together"
    )
    return table


def forecast_table(forecasts: Iterable[Forecast]) -> Table:
    """What simulated runs came to."""
    forecasts = list(forecasts)
    unit = unit_of(max(forecast.hours for forecast in forecasts))
    table = Table(title="simulated", title_justify="left")
    makespan, bound = f"makespan {unit.name}", f"lower bound {unit.name}"
    for heading in ("GPUs", "jobs", makespan, "GPUs busy", bound, "over it"):
        table.add_column(heading, justify="right")
    for forecast in forecasts:
        table.add_row(
            str(forecast.gpus),
            str(len(forecast.jobs)),
            unit.number(forecast.hours),
            f"{forecast.busy:.0%}",
            unit.number(forecast.bound_hours),
            f"{forecast.over_bound:.1%}",
        )
    return table


def order_table(forecast: Forecast, varied: Collection[str] = ()) -> Table:
    """The first jobs of a simulated run, told apart by what is `varied` in the sweep."""
    table = Table(title=f"order of work on {forecast.where}", title_justify="left")
    unit = unit_of(forecast.hours)
    table.add_column(f"from {unit.name}", justify="right")
    table.add_column(f"to {unit.name}", justify="right")
    table.add_column("job")
    for job in forecast.jobs[:FIRST_JOBS]:
        table.add_row(unit.number(job.start), unit.number(job.end), describe(job.trials, varied))
    if left := len(forecast.jobs) - FIRST_JOBS:
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
        "notes": plan.sweep.notes,
        "was_set": list(plan.sweep.was_set),
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
    fingerprint = trial.fingerprint
    failure = plan.failed.get(fingerprint) or plan.failed_by_machine.get(fingerprint)
    return {
        **identity_columns(trial),
        "depends_on": list(trial.depends_on),
        "state": state,
        "error": failure and failure.error,
        "cause": failure and failure.cause.value,
        "place": failure and failure.place,
    }
