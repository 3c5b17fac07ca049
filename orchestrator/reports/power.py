"""What `plan --power` shows: in how many such studies the relation is found, as a table and for scripts."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from analysis.coefficients import NAMES
from analysis.planned_power import PlannedPower
from analysis.power import LEVEL, MOST_AUGMENTATIONS, SIMULATIONS


def power_table(planned: PlannedPower) -> Table:
    """A row per number of augmentations and seeds; the sweep's own is marked."""
    table = Table(title="power: share of such studies that find the relation", title_justify="left")
    names = [name.capitalize() for name in NAMES]
    for heading in ("n", "seeds", *names, *(f"Holm:\n{name}" for name in names)):
        table.add_column(heading, justify="right")
    for i, size in enumerate(planned.sizes):
        if i and size.n != planned.sizes[i - 1].n:
            table.add_section()
        shares = [f"{share:.0%}" for by in (size.alone, size.after_holm) for share in by.values()]
        is_own = size is planned.own
        seeds = f"{'* ' if is_own else ''}{size.num_seeds}"
        table.add_row(str(size.n), seeds, *shares, style="bold" if is_own else None)
    assumed = planned.assumptions
    at_least = (
        f"; of more than {MOST_AUGMENTATIONS} augmentations the share of {MOST_AUGMENTATIONS}, which is less"
        if planned.own.n > MOST_AUGMENTATIONS
        else ""
    )
    table.caption = (
        f"*: this sweep; n: augmentations\nif Pearson's correlation without seed noise is {assumed.rho:.2f}, and one seed's noise is "
        f"{assumed.noise.t_stddev:.2f} (T. stddev) and {assumed.noise.s_test_loss:.2f} (S. test loss) standard "
        f"deviations over augmentations: {assumed.source}\n"
        f"each coefficient of one panel by itself, permutation test at {LEVEL:.0%}; Holm: at least so much is left "
        f"after it, over {planned.num_tests} tests. {SIMULATIONS:,} simulated studies each, bivariate normal{at_least}"
    )
    return table


def power_as_json(planned: PlannedPower) -> dict[str, Any]:
    """Assumptions, and power by size; shares are 0..1."""
    return {
        "assumptions": asdict(planned.assumptions),
        "level": LEVEL,
        "num_tests": planned.num_tests,
        "own": asdict(planned.own),
        "sizes": [asdict(size) for size in planned.sizes],
    }
