"""The table of regret: a row per panel, and one per pool below (`analysis.regret`)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from analysis.bootstrap import LEVEL, Interval
from analysis.correlation_tables import half_filled_notes, partial_pool_notes, star_note
from analysis.evidence import Evidence, Findings
from analysis.grid import DASH, MISSING, Entry, Grid, Row
from analysis.metrics import S_TEST_LOSS
from analysis.pooling import Pooled
from analysis.predictors import Predictor
from analysis.regret import NUM_TOP, Estimated, PooledRegret, Regret

_HEADINGS = ("regret", "at random", "always identity", "share", "P(best)", f"top {NUM_TOP}")


def _words_note(predictor: Predictor) -> str:
    return (
        f"choice: of {predictor.best} {predictor.title}; regret: what it loses in S. test loss against the best; at random: what the mean "
        "over augmentations loses; share: regret, of what is lost at random; P(best): how often the choice is the best "
        f"in redraws of seeds; top {NUM_TOP}: how many of the {NUM_TOP} lowest losses are among the {NUM_TOP} {predictor.best} "
        f"{predictor.title}"
    )


def _bias_note(predictor: Predictor) -> str:
    return (
        f"in brackets: {LEVEL:.0%} over seeds, of loss and {predictor.title} jointly; the best of noisy means looks too good, so "
        "all three losses are estimated rather too high, by as much"
    )


_POOLED_NOTE = (
    "mean over a teacher's pairs, then over teachers; losses of several data sets have one unit, but not one size: "
    "shares can be compared"
)


def regret_grids(findings: Findings) -> Iterator[Grid]:
    """The table of all panels, and the table of pools where there are any."""
    if findings.evidence:
        yield _panels_grid(findings)
    if any(pooled.regret for pooled in findings.pooled):
        yield _pooled_grid(findings)


def loss_lost(lost: Estimated) -> str:
    """`0.0591 (0.0402 to 0.0713)`; without brackets where no interval is known, a dash where nothing is."""
    return _written(lost, S_TEST_LOSS.number)


def share_lost(share: Estimated) -> str:
    """`12% (0% to 31%)`."""
    return _written(share, lambda value: f"{value:z.0%}")


def top_words(top: Estimated) -> str:
    """`3 of 3 (2 to 3)`."""
    if math.isnan(top.value):
        return DASH
    return f"{_count(top.value)} of {NUM_TOP}" + _bracketed(top.over_seeds, _count)


def probability(p: float) -> str:
    """In percent: `97%`; a dash where it is undefined."""
    return DASH if math.isnan(p) else f"{p:.0%}"


def _count(share: float) -> str:
    return f"{NUM_TOP * share:.3g}"


def _written(estimated: Estimated, number: Callable[[float], str]) -> str:
    if math.isnan(estimated.value):
        return DASH
    return number(estimated.value) + _bracketed(estimated.over_seeds, number)


def _bracketed(pair: Interval, number: Callable[[float], str]) -> str:
    return "" if math.isnan(pair.low) else f" ({number(pair.low)} to {number(pair.high)})"


def _numbers(regret: Regret, star: str) -> tuple[str, ...]:
    return (
        loss_lost(regret.choice) + star,
        loss_lost(regret.random),
        loss_lost(regret.identity),
        share_lost(regret.share),
        probability(regret.top_1),
        top_words(regret.top_3),
    )


def _panels_grid(findings: Findings) -> Grid:
    rows, previous = [], ""
    for evidence in findings.evidence:
        regret = evidence.regret
        if regret is None:
            missing = Entry(
                f"{MISSING} (n={evidence.n}, 2 to choose from are needed)", is_missing=True
            )
            entries = (missing, *(Entry("") for _ in (*_HEADINGS, "")))
        else:
            texts = (
                " or ".join(regret.chosen),
                " or ".join(regret.best),
                *_numbers(regret, " *" if evidence.num_without_noise else ""),
            )
            entries = tuple(map(Entry, texts))
        dataset = evidence.panel.dataset
        rows.append(Row(evidence.panel.title, entries, begins_section=dataset != previous))
        previous = dataset
    return Grid(
        title=f"Choosing by {findings.predictor.title}: what it loses in S. test loss",
        corner="panel",
        headings=("choice", "best", *_HEADINGS),
        rows=tuple(rows),
        notes=tuple(_notes(findings.evidence, findings.predictor)),
        records=tuple(_record(evidence) for evidence in findings.evidence),
        stub=1,
    )


def _notes(evidence: Sequence[Evidence], predictor: Predictor) -> Iterator[str]:
    yield _words_note(predictor)
    yield _bias_note(predictor)
    aside = dict.fromkeys(name for e in evidence if e.regret for name in e.regret.aside)
    if aside:
        yield (
            f"{', '.join(aside)}: picked by a student, so nobody can choose it by {predictor.title} before one is trained; "
            f"it may be the best, and counts at random, but not in the top {NUM_TOP}"
        )
    if any(e.num_without_noise for e in evidence):
        yield star_note(predictor)
    yield from half_filled_notes(evidence)
    num_short = sum(e.n < max(e.n for e in evidence) for e in evidence)
    if num_short:
        yield (
            f"partial: {num_short} of {len(evidence)} panels have fewer augmentations than others; "
            "the best may be one that is missing"
        )


def _record(evidence: Evidence) -> Mapping[str, str | float | int | None]:
    regret = evidence.regret
    return {
        "table": "regret",
        "dataset": evidence.panel.dataset,
        "pair": evidence.panel.pair,
        "variant": evidence.panel.variant,
        "source": evidence.panel.source,
        "n": evidence.n,
        "choice": " ".join(regret.chosen) if regret else None,
        "best": " ".join(regret.best) if regret else None,
        **_record_of(regret),
    }


def _pooled_grid(findings: Findings) -> Grid:
    pools = [(pooled, pooled.regret) for pooled in findings.pooled if pooled.regret]
    return Grid(
        title=f"Choosing by {findings.predictor.title}, pooled over pairs, each teacher counted once",
        corner="group",
        headings=("best in", *_HEADINGS),
        rows=tuple(_pooled_row(pooled, regret) for pooled, regret in pools),
        notes=(
            _POOLED_NOTE,
            *(
                [star_note(findings.predictor)]
                if any(pooled.num_without_noise for pooled, _ in pools)
                else []
            ),
            *partial_pool_notes([pooled for pooled, _ in pools]),
        ),
        records=tuple(_pooled_record(pooled, regret) for pooled, regret in pools),
        stub=1,
    )


def _pooled_row(pooled: Pooled, regret: PooledRegret) -> Row:
    texts = (
        f"{regret.num_best} of {pooled.num_panels} panels",
        *_numbers(regret, " *" if pooled.num_without_noise else ""),
    )
    return Row(pooled.group, tuple(map(Entry, texts)))


def _pooled_record(pooled: Pooled, regret: PooledRegret) -> Mapping[str, str | float | int | None]:
    return {
        "table": "pooled_regret",
        "group": pooled.group,
        "n": pooled.n,
        "num_pairs": pooled.num_pairs,
        "num_panels": pooled.num_panels,
        "num_teachers": len(pooled.teachers),
        "num_best": regret.num_best,
        **_record_of(regret),
    }


def _record_of(regret: Regret | None) -> Mapping[str, float | None]:
    record: dict[str, float | None] = {}
    for column, name in (
        ("regret", "choice"),
        ("random", "random"),
        ("identity", "identity"),
        ("share", "share"),
        ("top_3", "top_3"),
    ):
        estimated: Estimated | None = getattr(regret, name, None)
        for suffix, value in (
            ("", estimated.value if estimated else math.nan),
            ("_low", estimated.over_seeds.low if estimated else math.nan),
            ("_high", estimated.over_seeds.high if estimated else math.nan),
        ):
            record[column + suffix] = value if math.isfinite(value) else None
    top_1 = regret.top_1 if regret else math.nan
    return {**record, "top_1": top_1 if math.isfinite(top_1) else None}
