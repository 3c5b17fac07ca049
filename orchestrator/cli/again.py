"""`run --again`: finished trials once more; which are meant, and what is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.console import stderr

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.planning.plan import Plan
    from orchestrator.store.store import Store
    from orchestrator.upkeep.repetition import Repetition

RepeatOption = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Repeat finished trials instead, and tell whether their bits are equal. Results are replaced when all "
        "is done.",
    ),
]

RepeatedFilters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="With --again: only these of them, as augmentation=cutmix or student.temperature=4. Repeat to narrow.",
    ),
]


@dataclass(frozen=True)
class Again:
    """That finished trials are repeated, and by which filters they are asked for."""

    repetition: "Repetition"
    filters: Sequence[str]

    @property
    def words(self) -> tuple[str, ...]:
        """By which the same is asked for again."""
        return ("--again", *(word for wanted in self.filters for word in ("--filter", wanted)))

    def settle(self, console: "Console") -> None:
        """Put what was repeated in its place; a first signal does not break into that, a second one does."""
        from orchestrator.cluster.interruption import stopping_in_order

        def tell(line: str) -> None:
            console.print(line, soft_wrap=True)

        with stopping_in_order(lambda: tell("in a moment: what was repeated is put in its place")):
            self.repetition.settle(tell)


def again_of(plan: "Plan", store: "Store", filters: Sequence[str] | None) -> Again:
    """The repetition of all that has finished of a plan, or of what filters leave of it.

    Raises:
        UserError: that is nothing, or a filter names nothing.
    """
    from orchestrator.upkeep.repetition import Repetition

    wanted = named_by(filters, plan, store) if filters and plan.done else plan.done
    repetition = Repetition(plan, store, wanted, lambda line: stderr().print(line, soft_wrap=True))
    return Again(repetition, filters or ())


def named_by(filters: Sequence[str], plan: "Plan", store: "Store") -> frozenset[str]:
    """Unlike in tables, what has no such value is not meant: no teacher by an augmentation."""
    from analysis.filters import KEYS, parse_filters
    from analysis.rows import read_rows
    from analysis.settings import SECTIONS

    parsed = parse_filters(filters)
    rows = read_rows(store, parsed, plan.trials)
    for wanted in parsed:
        section = wanted.key.partition(".")[0]
        if wanted.key in KEYS:
            rows = rows[rows[wanted.key].notna()]
        elif section in ("student", "stddev"):
            rows = rows[rows["kind"].map(SECTIONS) == section]
    return frozenset(rows["fingerprint"])
