"""The tables of a contest: its predictors side by side, and the differences of each two (`analysis.contest`)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from analysis.bootstrap import LEVEL, Interval
from analysis.coefficients import NAMES
from analysis.contest import Comparison, Contest, Contestant
from analysis.correlation_tables import interval, number, p_value
from analysis.grid import DASH, Entry, Grid, Record, Row, finite
from analysis.regret_tables import loss_lost, share_lost
from analysis.tables import plain

_DIRECTIONS_NOTE = (
    "coefficients count in the direction expected of each predictor (of lower is better as they are, of higher is better "
    f"with the sign turned), over the augmentations that all predictors of a contest have; in brackets: {LEVEL:.0%} over "
    "seeds"
)
_P_NOTE = "p Holm: permutation test, adjusted for the number of predictors of the contest"
_DIFFERENCES_NOTE = (
    f"the first's coefficient minus the second's, in brackets {LEVEL:.0%} over seeds in joint redraws, then its p-value, "
    "adjusted for the pairs of the contest (Holm); these augmentations are fixed: others may order predictors otherwise"
)
_NOISE_NOTE = (
    "* a predictor or S. test loss has too few seeds to tell of its noise, which is in no interval"
)


def contest_grids(contests: Sequence[Contest]) -> list[Grid]:
    """The table of predictors and the table of their differences; none where there is no contest."""
    return [_predictors_grid(contests), _differences_grid(contests)] if contests else []


def contests_as_json(contests: Sequence[Contest]) -> list[dict[str, Any]]:
    """Every contest, whole; what is undefined is None."""
    return [plain(asdict(contest)) for contest in contests]


def _predictors_grid(contests: Sequence[Contest]) -> Grid:
    rows: list[Row] = []
    records: list[Record] = []
    for contest in contests:
        for i, contestant in enumerate(contest.contestants):
            heading = contest.title if i == 0 else ""
            entries = tuple(map(Entry, _entries(contest, contestant)))
            rows.append(Row(heading, entries, begins_section=i == 0))
            records += _records(contest, contestant)
    headings = (word for name in NAMES for word in (name.capitalize(), "p Holm"))
    return Grid(
        title="Predictors of S. test loss, side by side",
        corner="panel",
        headings=("predictor", "better", "n", *headings, "regret", "share"),
        rows=tuple(rows),
        notes=(_DIRECTIONS_NOTE, _P_NOTE, *_noise_notes(contests)),
        records=tuple(records),
        stub=1,
    )


def _entries(contest: Contest, contestant: Contestant) -> Iterator[str]:
    star = "" if contest.tells_of_noise else " *"
    yield contestant.title
    yield "lower" if contestant.lower_is_better else "higher"
    yield str(contest.n)
    for name in NAMES:
        score = contestant.scores[name]
        yield number(score.value, 3) + _bracketed(score.over_seeds) + star
        yield p_value(score.holm)
    regret = contestant.regret
    yield loss_lost(regret.choice) if regret else DASH
    yield share_lost(regret.share) if regret else DASH


def _bracketed(pair: Interval) -> str:
    ends = interval(pair)
    return "" if ends == DASH else f" ({ends})"


def _noise_notes(contests: Sequence[Contest]) -> Iterator[str]:
    if not all(contest.tells_of_noise for contest in contests):
        yield _NOISE_NOTE


def _records(contest: Contest, contestant: Contestant) -> Iterator[Record]:
    regret = contestant.regret
    for name, score in contestant.scores.items():
        yield {
            "table": "contest",
            "contest": contest.title,
            "num_panels": contest.num_panels,
            "n": contest.n,
            "predictor": contestant.name,
            "title": contestant.title,
            "coefficient": name,
            "value": finite(score.value),
            "seeds_low": finite(score.over_seeds.low),
            "seeds_high": finite(score.over_seeds.high),
            "p": finite(score.p),
            "p_holm": finite(score.holm),
            "regret": finite(regret.choice.value) if regret else None,
            "regret_low": finite(regret.choice.over_seeds.low) if regret else None,
            "regret_high": finite(regret.choice.over_seeds.high) if regret else None,
        }


def _differences_grid(contests: Sequence[Contest]) -> Grid:
    rows: list[Row] = []
    records: list[Record] = []
    for contest in contests:
        for i, comparison in enumerate(contest.comparisons):
            heading = contest.title if i == 0 else ""
            told = (f"{comparison.one} - {comparison.other}", *_compared(comparison))
            rows.append(Row(heading, tuple(map(Entry, told)), begins_section=i == 0))
            records += _compared_records(contest, comparison)
    headings = (word for name in NAMES for word in (name.capitalize(), "p", "p Holm"))
    return Grid(
        title="Differences of predictors, over the same seeds",
        corner="panel",
        headings=("predictors", *headings),
        rows=tuple(rows),
        notes=(_DIFFERENCES_NOTE,),
        records=tuple(records),
        stub=1,
    )


def _compared(comparison: Comparison) -> Iterator[str]:
    for name in NAMES:
        difference = comparison.differences[name]
        yield number(difference.value, 3) + _bracketed(difference.over_seeds)
        yield p_value(difference.p)
        yield p_value(difference.holm)


def _compared_records(contest: Contest, comparison: Comparison) -> Iterator[Record]:
    for name, difference in comparison.differences.items():
        yield {
            "table": "contest_differences",
            "contest": contest.title,
            "one": comparison.one,
            "other": comparison.other,
            "coefficient": name,
            "difference": finite(difference.value),
            "seeds_low": finite(difference.over_seeds.low),
            "seeds_high": finite(difference.over_seeds.high),
            "p": finite(difference.p),
            "p_holm": finite(difference.holm),
        }
