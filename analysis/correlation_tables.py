"""The correlation table: a section per panel, a row per coefficient, and the pooled estimates below."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from analysis.attenuation import WithoutNoise
from analysis.bootstrap import LEAST_POINTS, LEVEL, Interval
from analysis.coefficients import NAMES
from analysis.evidence import Estimate, Evidence, Findings
from analysis.families import Family
from analysis.grid import DASH, MISSING, Entry, Grid, Row, finite
from analysis.permutation import EXHAUSTIVE_UP_TO, SAMPLES
from analysis.points import Mean
from analysis.pooling import Pooled
from analysis.power import LEVEL as POWER_LEVEL
from analysis.power import MOST_AUGMENTATIONS, TARGET
from analysis.predictors import Predictor
from analysis.rank_intervals import SIMULATED_UP_TO
from analysis.result_tables import undefined_notes
from analysis.settings import OWN

SEEDS_NOTE = (
    "over seeds: about the coefficient that as many other seeds give on average, which seed noise pulls "
    "towards 0; not about the one without noise"
)

AUGMENTATIONS_NOTE = (
    "over augmentations: Pearson BCa; ranks the test of a normal copula, inverted: what as many other augmentations "
    "give on average"
)


def star_note(predictor: Predictor) -> str:
    """What the star of an interval means."""
    return f"* {predictor.title} or S. test loss has too few seeds to tell of its noise, which is in no interval over seeds"


LEAST = 3
"""Points of a panel that has coefficients."""

MOST_TOLD = 4
"""Names in a note; of more the number."""

_HEADINGS = (
    "coefficient",
    "value",
    "n",
    "p",
    "p Holm",
    "p BH",
    f"{LEVEL:.0%} over seeds",
    f"{LEVEL:.0%} over augmentations",
    "moves most without",
    "without family",
    "p as printed",
)


def correlation_grids(findings: Findings) -> Iterator[Grid]:
    """The table of all panels, and the table of pooled estimates where there are any."""
    if findings.evidence:
        yield _panels_grid(findings)
    if findings.pooled:
        yield _pooled_grid(findings)


def number(value: float, digits: int = 4) -> str:
    """A number, or a dash where it is undefined."""
    return DASH if math.isnan(value) else f"{value:z.{digits}f}"


def p_value(p: float) -> str:
    """Two significant digits in percent: `0.46%`, `<0.001%`; a dash where it is undefined."""
    if math.isnan(p):
        return DASH
    percent = 100 * p
    if percent < 0.001:
        return "<0.001%"
    digits = max(0, 1 - math.floor(math.log10(percent))) if percent < 10 else 0
    return f"{percent:.{digits}f}%"


def p_equals(p: float) -> str:
    """`p = 0.46%`, `p < 0.001%`."""
    text = p_value(p)
    return f"p {text[0]} {text[1:]}" if text.startswith("<") else f"p = {text}"


def counted(count: int, what: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def interval(pair: Interval) -> str:
    """`0.812 to 0.991`, with as many digits as tell the ends apart; a dash where it is undefined."""
    if math.isnan(pair.low):
        return DASH
    for digits in range(3, 9):
        low, high = f"{pair.low:z.{digits}f}", f"{pair.high:z.{digits}f}"
        if low != high:
            return f"{low} to {high}"
    return DASH


def cells_of(findings: Findings) -> list[Mean]:
    """All cells of the predictor and of S. test loss, each once: panels of one teacher share its T. stddev."""
    points = [point for evidence in findings.evidence for point in evidence.panel.points]
    cells = [cell for p in points for cell in (p.t_stddev, p.test_loss) if cell]
    return list({(cell.fingerprints, cell.undefined): cell for cell in cells}.values())


def permutation_words(are_exact: Collection[bool]) -> str:
    """What kind of permutation test was done, for tests of which some or all or none are exact."""
    random = f"over {SAMPLES:,} random orders"
    if all(are_exact):
        return "exact permutation test"
    if not any(are_exact):
        return f"permutation test {random}"
    return f"permutation test, exact up to {EXHAUSTIVE_UP_TO} augmentations, {random} above"


def moved_by(most: tuple[str, float] | None) -> str:
    """`cutmix (-0.034)`: what is left out, and how far a coefficient moves."""
    return f"{most[0]} ({most[1]:+z.3f})" if most else "none"


def _panels_grid(findings: Findings) -> Grid:
    rows, records = [], []
    for evidence in findings.evidence:
        for i, name in enumerate(NAMES):
            heading = evidence.panel.title if i == 0 else ""
            entries = _entries(evidence, name)
            rows.append(Row(heading, tuple(map(Entry, entries)), begins_section=i == 0))
            records.append(_record(evidence, name))
        if evidence.n < 3:
            missing = Entry(f"{MISSING} (n={evidence.n}, 3 are needed)", is_missing=True)
            del rows[-len(NAMES) :]
            blank = (Entry(""),) * (len(_HEADINGS) - 2)
            rows.append(
                Row(evidence.panel.title, (Entry(""), missing, *blank), begins_section=True)
            )
    return Grid(
        title=f"Correlation of {findings.predictor.title} and S. test loss",
        corner="panel",
        headings=_HEADINGS,
        rows=tuple(rows),
        notes=tuple(_notes(findings)),
        records=tuple(records),
        stub=1,
    )


def _entries(evidence: Evidence, name: str) -> tuple[str, ...]:
    estimate = evidence.estimates[name]
    most = evidence.most_influential(name)
    return (
        name.capitalize(),
        number(estimate.value),
        str(evidence.n),
        p_value(estimate.p) + ("" if evidence.is_exact else " (sampled)"),
        p_value(estimate.holm),
        p_value(estimate.bh),
        interval(estimate.over_seeds) + (" *" if evidence.num_without_noise else ""),
        interval(estimate.over_augmentations),
        moved_by(most),
        moved_by(evidence.most_influential_family(name)),
        DASH if math.isnan(estimate.p_printed) else f"{100 * estimate.p_printed:.2f}%",
    )


def _record(evidence: Evidence, name: str) -> dict[str, str | float | int | None]:
    estimate: Estimate = evidence.estimates[name]
    most, of_family = evidence.most_influential(name), evidence.most_influential_family(name)
    return {
        "table": "correlations",
        "dataset": evidence.panel.dataset,
        "pair": evidence.panel.pair,
        "variant": evidence.panel.variant,
        "source": evidence.panel.source,
        "coefficient": name,
        "value": finite(estimate.value),
        "n": evidence.n,
        "p": finite(estimate.p),
        "p_holm": finite(estimate.holm),
        "p_bh": finite(estimate.bh),
        "p_printed": finite(estimate.p_printed),
        "seeds_low": finite(estimate.over_seeds.low),
        "seeds_high": finite(estimate.over_seeds.high),
        **_free_record(estimate.without_noise),
        "simex": finite(estimate.simex),
        f"reliability_{evidence.panel.predictor.name}": finite(evidence.reliability.t_stddev),
        "reliability_s_test_loss": finite(evidence.reliability.s_test_loss),
        "augmentations_low": finite(estimate.over_augmentations.low),
        "augmentations_high": finite(estimate.over_augmentations.high),
        "smallest_found": finite(estimate.smallest_found),
        "moves_most_without": most[0] if most else None,
        "moves_by": most[1] if most else None,
        "moves_most_without_family": of_family[0] if of_family else None,
        "family_moves_by": of_family[1] if of_family else None,
    }


def families_note(families: Iterable[Family]) -> Iterator[str]:
    """Who is in which family; nothing where there is none."""
    told = dict.fromkeys(f"{family.name} ({', '.join(family.members)})" for family in families)
    if told:
        yield f"without family: the one without which the coefficient moves most, of {'; '.join(told)}"


def _notes(findings: Findings) -> Iterator[str]:
    yield (
        f"p: {permutation_words({e.is_exact for e in findings.evidence if e.n >= 3})}, two-sided; "
        f"Holm and Benjamini-Hochberg (BH) over the {findings.num_tests} coefficients of this table; "
        f"intervals: {findings.bootstrap.num_samples} bootstrap samples; p as printed: scipy's, as in the paper"
    )
    yield SEEDS_NOTE
    yield from found_notes(findings)
    yield from families_note(family for e in findings.evidence for family in e.families)
    yield AUGMENTATIONS_NOTE
    if any(_is_flat(e) for e in findings.evidence):
        yield (
            f"{DASH}: no interval over augmentations of Pearson's coefficient below {LEAST_POINTS} of them, where every "
            f"sample gives the same, or where one of ranks is 1 and they are more than {SIMULATED_UP_TO}"
        )
    if any(evidence.num_without_noise for evidence in findings.evidence):
        yield star_note(findings.predictor)
    apart = [e for e in findings.evidence if e.num_parts > 1 and e.panel.source == OWN]
    if apart:
        yield (
            f"{len(apart)} of {len(findings.evidence)} panels have augmentations that share no seed: what a seed "
            "shifts is in their differences; run the same seeds for all"
        )
    yield from undefined_notes(cells_of(findings))
    yield from half_filled_notes(findings.evidence)
    short = [e for e in findings.evidence if e.n < max(e.n for e in findings.evidence)]
    if short:
        yield f"partial: {len(short)} of {len(findings.evidence)} panels have fewer augmentations than others"


def found_notes(findings: Findings) -> Iterator[str]:
    """What tests of these sizes and this noise could have found, where the noise is known."""
    by_size: dict[tuple[int, int], list[Evidence]] = {}
    for evidence in findings.evidence:
        is_defined = math.isfinite(evidence.estimates["kendall"].value)
        if is_defined and evidence.tells_of_noise and evidence.n <= MOST_AUGMENTATIONS:
            by_size.setdefault((evidence.n, evidence.most_seeds), []).append(evidence)
    for (n, seeds), alike in by_size.items():
        told = [
            f"{name.capitalize()} {_from_to([e.estimates[name].smallest_found for e in alike])}"
            for name in reversed(NAMES)
        ]
        yield (
            f"with {n} augmentations, {counted(seeds, 'seed')} and this noise a test at {POWER_LEVEL:.0%} finds in "
            f"{TARGET:.0%} of studies a true coefficient of at least: {', '.join(told)} (bivariate normal; before Holm)"
        )


def _from_to(values: Sequence[float]) -> str:
    """`0.65`, `0.65 to 0.67`, `0.65 to none`; `none` where a coefficient is never found so often."""
    ends = sorted(f"{value:.2f}" for value in values if math.isfinite(value))
    ends += ["none"] * any(math.isnan(value) for value in values)
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]} to {ends[-1]}"


def _is_flat(evidence: Evidence) -> bool:
    return any(
        math.isfinite(e.value) and math.isnan(e.over_augmentations.low)
        for e in evidence.estimates.values()
    )


_POOLED_HEADINGS = (
    "coefficient",
    "value",
    "pairs",
    "teachers",
    "n",
    "p",
    f"{LEVEL:.0%} over seeds",
    f"{LEVEL:.0%} over augmentations",
    f"{LEVEL:.0%} over teachers",
    f"{LEVEL:.0%} next teacher",
    "moves most without",
    "without family",
)


def _pooled_grid(findings: Findings) -> Grid:
    rows, records = [], []
    for pooled in findings.pooled:
        for i, name in enumerate(NAMES):
            estimate = pooled.estimates[name]
            entries = (
                name.capitalize(),
                number(estimate.value),
                str(pooled.num_pairs),
                str(len(pooled.teachers)),
                str(pooled.n),
                p_value(estimate.p) + ("" if pooled.is_exact else " (sampled)"),
                interval(estimate.over_seeds) + (" *" if pooled.num_without_noise else ""),
                interval(estimate.over_augmentations),
                interval(estimate.over_teachers),
                interval(estimate.by_teacher.next_unit),
                moved_by(pooled.most_influential(name)),
                moved_by(pooled.most_influential_family(name)),
            )
            heading = pooled.group if i == 0 else ""
            rows.append(Row(heading, tuple(map(Entry, entries)), begins_section=i == 0))
            records.append(_pooled_record(pooled, name))
    return Grid(
        title="Pooled over pairs, each teacher counted once",
        corner="group",
        headings=_POOLED_HEADINGS,
        rows=tuple(rows),
        notes=tuple(_pooled_notes(findings)),
        records=tuple(records),
        stub=1,
    )


def _pooled_notes(findings: Findings) -> Iterator[str]:
    yield (
        "mean over a teacher's pairs, then over teachers; p: one order of the augmentations for all panels; "
        "over teachers: Student's t on the teachers' means; next teacher: where the coefficient of one not seen lies, "
        "with these augmentations and as many seeds (random effects)"
    )
    yield from families_note(f for pooled in findings.pooled for f in pooled.families)
    for pooled in findings.pooled:
        yield from _within_notes(pooled)
    if any(pooled.num_without_noise for pooled in findings.pooled):
        yield star_note(findings.predictor)
    yield from partial_pool_notes(findings.pooled)


def half_filled_notes(evidence: Sequence[Evidence]) -> Iterator[str]:
    """Points that have one of the two values only; they are in no coefficient and no choice."""
    halves = [
        (e.panel.title, point.augmentation)
        for e in evidence
        for point in e.panel.points
        if not point.is_complete
    ]
    if halves:
        told = ", ".join(f"{name} of {title}" for title, name in halves[:MOST_TOLD])
        more = f" and {len(halves) - MOST_TOLD} more" if len(halves) > MOST_TOLD else ""
        title = evidence[0].panel.predictor.title
        yield f"left out, since they lack {title} or S. test loss: {told}{more}"


def partial_pool_notes(pools: Sequence[Pooled]) -> Iterator[str]:
    """What a pool leaves out of its panels."""
    for pooled in pools:
        if pooled.num_left_out:
            left = counted(pooled.num_left_out, "panel")
            yield f"partial: {pooled.group}: {left} with fewer augmentations left out"
        if pooled.n < pooled.most_augmentations:
            yield (
                f"partial: {pooled.group}: over the {pooled.n} augmentations that its panels share; "
                f"they have up to {pooled.most_augmentations}"
            )


def _within_notes(pooled: Pooled) -> Iterator[str]:
    within = pooled.within
    # Data sets differ in the size of either value: no slope is common to them.
    if math.isfinite(within.r) and pooled.num_datasets == 1:
        yield (
            f"within teachers: {pooled.group}: one slope for all, repeated-measures r = {within.r:z.3f} "
            f"({within.freedom} degrees of freedom; {LEVEL:.0%} over augmentations {interval(within.over_augmentations)})"
        )
    if 1 < len(pooled.architectures) < len(pooled.teachers):
        by_name = {name: pooled.estimates[name].by_architecture for name in NAMES}
        told = [
            f"mean {name.capitalize()} {interval(unit.over_units)}, next one {interval(unit.next_unit)}"
            for name, unit in by_name.items()
            if math.isfinite(unit.mean)
        ]
        if told:
            yield (
                f"with the {len(pooled.architectures)} architectures of teachers as units (random effects, {LEVEL:.0%}): "
                f"{pooled.group}: {'; '.join(told)}"
            )


def _free_record(found: WithoutNoise) -> dict[str, str | float | int | None]:
    return {
        "without_noise": finite(found.value),
        "without_noise_low": finite(found.interval.low),
        "without_noise_high": finite(found.interval.high),
        "without_noise_is_clipped": int(found.is_clipped),
    }


def _pooled_record(pooled: Pooled, name: str) -> dict[str, str | float | int | None]:
    estimate = pooled.estimates[name]
    most, of_family = pooled.most_influential(name), pooled.most_influential_family(name)
    return {
        "table": "pooled",
        "group": pooled.group,
        "coefficient": name,
        "value": finite(estimate.value),
        "n": pooled.n,
        "num_pairs": pooled.num_pairs,
        "num_panels": pooled.num_panels,
        "num_teachers": len(pooled.teachers),
        "p": finite(estimate.p),
        "seeds_low": finite(estimate.over_seeds.low),
        "seeds_high": finite(estimate.over_seeds.high),
        **_free_record(estimate.without_noise),
        "augmentations_low": finite(estimate.over_augmentations.low),
        "augmentations_high": finite(estimate.over_augmentations.high),
        "teachers_low": finite(estimate.over_teachers.low),
        "teachers_high": finite(estimate.over_teachers.high),
        "moves_most_without": most[0] if most else None,
        "moves_by": most[1] if most else None,
        "moves_most_without_family": of_family[0] if of_family else None,
        "family_moves_by": of_family[1] if of_family else None,
        "next_teacher_low": finite(estimate.by_teacher.next_unit.low),
        "next_teacher_high": finite(estimate.by_teacher.next_unit.high),
        "num_architectures": len(pooled.architectures),
        "architectures_low": finite(estimate.by_architecture.over_units.low),
        "architectures_high": finite(estimate.by_architecture.over_units.high),
        "next_architecture_low": finite(estimate.by_architecture.next_unit.low),
        "next_architecture_high": finite(estimate.by_architecture.next_unit.high),
        "within_r": finite(pooled.within.r) if name == "pearson" else None,
        "within_slope": finite(pooled.within.slope) if name == "pearson" else None,
        "within_freedom": pooled.within.freedom if name == "pearson" else None,
    }
