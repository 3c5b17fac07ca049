"""The page: its sections, and how they are put together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources

from analysis.markup import page, tag, text
from orchestrator.planning.bill import Bill, Forecast
from orchestrator.planning.plan import Plan
from orchestrator.planning.remarks import remarks
from orchestrator.planning.states import counts_by_kind, states
from orchestrator.planning.words import span, unit_of
from orchestrator.reports.plan_page.dependencies import dependency_chart
from orchestrator.reports.plan_page.timeline import timeline

KINDS = {
    "teacher": "teachers",
    "student": "students",
    "stddev": "T. stddev",
    "predictor": "own predictors",
}


def render_plan(plan: Plan, bill: Bill, forecasts: Sequence[Forecast]) -> str:
    """The whole page as HTML, without anything to load."""
    css = resources.files("orchestrator.reports.plan_page").joinpath("page.css").read_text()
    main = tag("main", *_sections(plan, bill, forecasts, states(plan, {})))
    return page(f"{plan.sweep.name}: the plan", css, main)


def _sections(
    plan: Plan, bill: Bill, forecasts: Sequence[Forecast], state: Mapping[str, str]
) -> Iterator[str]:
    yield tag("h1", text(plan.sweep.name))
    for line in remarks(plan.sweep):
        yield tag("p", text(line))
    yield _tiles(plan, bill)
    speed = f"{bill.throughput.tflops:.3g} TFLOP/s per GPU ({bill.throughput.source})"
    yield tag("p", text(f"Times are those of simulated runs at {speed}."), class_="note")
    for warning in plan.warnings:
        yield tag("p", text(f"Warning: {warning}"), class_="warning")
    yield tag("h2", "Dependencies")
    yield tag("div", _legend(counts_by_kind(plan, {})), class_="legend")
    yield tag("div", dependency_chart(plan, state), class_="scroll")
    for forecast in forecasts:
        unit = unit_of(forecast.hours)
        yield tag("h2", text(f"On {forecast.where}: {unit.span(forecast.hours)}"))
        facts = (
            f"{len(forecast.jobs)} jobs, GPUs busy {forecast.busy:.0%}; no run takes less than "
            f"{unit.span(forecast.bound_hours)}: this one is {forecast.over_bound:.1%} over"
        )
        yield tag("p", text(facts), class_="note")
        yield tag("div", timeline(forecast, plan.sweep.varied), class_="card")


def _tiles(plan: Plan, bill: Bill) -> str:
    counts = counts_by_kind(plan, {})
    done = sum(kind["done"] for kind in counts.values())
    tiles = [
        *((str(sum(counts[kind].values())), KINDS[kind]) for kind in counts),
        (str(done), "done already"),
        (span(bill.gpu_hours), "on one GPU"),
        (span(bill.longest_chain_hours), "longest chain"),
        (f"{bill.saved:.0%}", "saved by lockstep"),
    ]
    shown = (tag("div", tag("b", text(value)), tag("span", text(word))) for value, word in tiles)
    return tag("div", *shown, class_="tiles")


def _legend(kinds: Iterable[str]) -> str:
    return "".join(tag("span", tag("i", class_=kind), text(KINDS[kind])) for kind in kinds)
