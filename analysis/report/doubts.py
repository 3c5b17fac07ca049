"""What speaks against the answer, a sentence each, from the findings alone; what does not apply is not said."""

import math
from collections.abc import Iterator, Sequence

from analysis.bootstrap import LEVEL
from analysis.correlation_tables import cells_of, counted, half_filled_notes, interval, number
from analysis.evidence import Evidence, Findings
from analysis.grid import DASH
from analysis.markup import tag, text
from analysis.noise_free_tables import free_of_noise
from analysis.pooling import Pooled
from analysis.power import MOST_AUGMENTATIONS, TARGET
from analysis.predictors import Predictor
from analysis.report.answer import CLAIM, headline
from analysis.result_tables import undefined_notes
from analysis.settings import OWN

SIGNIFICANT = 0.05
LEAST_TEACHERS = 3
"""Of which the next one can be told (`analysis.partial_pooling`)."""

Doubt = tuple[str, str]
"""Whence it comes, and what it comes to."""


def doubts(findings: Findings, *, has_stated_power: bool = False) -> str:
    """A list; empty where nothing has a coefficient yet.

    Args:
        findings: of a store.
        has_stated_power: whether the methods tell of power that was stated before there were results.
    """
    defined = [e for e in findings.evidence if math.isfinite(e.estimates[CLAIM].value)]
    if not defined:
        return ""
    sources = sorted({e.panel.source for e in defined}, key=lambda source: source != OWN)
    pooled = headline(findings, sources[0])
    sentences: list[Doubt] = [
        *_of_headline(pooled or defined[0], findings.predictor),
        *_of_power(defined, has_stated_power=has_stated_power),
        *_of_panels(defined, findings),
    ]
    items = (tag("li", tag("b", text(head)), text(f": {said}")) for head, said in sentences)
    return tag("ul", *items, class_="doubts")


def _of_headline(shown: Pooled | Evidence, predictor: Predictor) -> Iterator[Doubt]:
    estimate = shown.estimates[CLAIM]
    if (ends := interval(estimate.over_augmentations)) != DASH:
        yield "Other augmentations", f"with n = {shown.n}, τ is anywhere from {ends} ({LEVEL:.0%})."
    else:
        yield "Other augmentations", f"n = {shown.n} tell nothing of others: see the table's note."
    if isinstance(shown, Pooled):
        yield from _of_teachers(shown)
    yield from _of_seeds(shown)
    if found := shown.most_influential(CLAIM):
        yield (
            "One augmentation",
            f"without {found[0]}, τ is {number(estimate.value + found[1], 2)}.",
        )
    if found := shown.most_influential_family(CLAIM):
        yield (
            "One family",
            f"without the family {found[0]}, τ is {number(estimate.value + found[1], 2)}.",
        )
    if shown.regret and math.isfinite(shown.regret.top_1):
        yield (
            "The choice",
            f"in redraws of the seeds, that of {predictor.best} {predictor.title} has the lowest S. test loss in "
            f"{shown.regret.top_1:.0%}.",
        )


def _of_seeds(shown: Pooled | Evidence) -> Iterator[Doubt]:
    estimate = shown.estimates[CLAIM]
    num_silent = shown.num_without_noise
    if (ends := interval(estimate.over_seeds)) != DASH:
        beside = "; where cells have one seed, their noise is not in it" if num_silent else ""
        yield "Other seeds", f"on average as many others give {ends} ({LEVEL:.0%}){beside}."
    elif num_silent:
        yield "Other seeds", "cells of one seed tell nothing of their noise."
    else:
        yield "Other seeds", "all redraws of the seeds give the same τ."
    if (free := free_of_noise(estimate.without_noise)) != DASH:
        hangs = "; how well the noise is known decides much of that" if _is_low(shown) else ""
        yield "Seed noise", f"without it, τ would be {free}{hangs}."
    elif not num_silent:
        yield (
            "Seed noise",
            "it alone spreads the means as far as they are: nothing is left to be told.",
        )


def _is_low(shown: Pooled | Evidence) -> bool:
    if isinstance(shown, Pooled):
        return shown.is_low_reliability
    return shown.reliability.is_low


def _of_teachers(pooled: Pooled) -> Iterator[Doubt]:
    estimate, num = pooled.estimates[CLAIM], len(pooled.teachers)
    if (ends := interval(estimate.over_teachers)) != DASH:
        yield (
            "Other teachers",
            f"the mean over teachers is within {ends} ({LEVEL:.0%}, {num} teachers).",
        )
    if (ends := interval(estimate.by_teacher.next_unit)) != DASH:
        yield "The next teacher", f"τ of one that was not tried lies within {ends} ({LEVEL:.0%})."
    elif num < LEAST_TEACHERS:
        told = f"{num} teacher{'s' if num > 1 else ''}"
        yield "The next teacher", f"{told} cannot tell of one that was not tried."
    if pooled.num_left_out:
        yield (
            "Left out of the pool",
            f"panels that lack augmentations of the others ({pooled.num_left_out}).",
        )


def _of_power(defined: Sequence[Evidence], *, has_stated_power: bool) -> Iterator[Doubt]:
    """What the weakest test of a panel could have found, where the noise is known."""
    told = [e for e in defined if e.tells_of_noise and e.n <= MOST_AUGMENTATIONS]
    if not told:
        return
    # nan: no coefficient is found so often.
    by_least = [(e.estimates[CLAIM].smallest_found, e) for e in told]
    least, worst = max(by_least, key=lambda pair: (math.isnan(pair[0]), pair[0]))
    finds = (
        f"finds a true τ of {number(least, 2)} in {TARGET:.0%} of studies, and smaller ones less often"
        if math.isfinite(least)
        else f"finds no τ, however high, in {TARGET:.0%} of studies"
    )
    before = " What was said of power before is in the methods." if has_stated_power else ""
    seeds = counted(worst.most_seeds, "seed")
    yield "Power", f"the test of {worst.panel.title}, n = {worst.n} and {seeds}, {finds}.{before}"


def _of_panels(defined: Sequence[Evidence], findings: Findings) -> Iterator[Doubt]:
    if len(defined) > 1:
        lowest = min(defined, key=lambda e: e.estimates[CLAIM].value)
        yield (
            "Single panels",
            f"the lowest of {len(defined)} is {lowest.panel.title}, "
            f"τ = {number(lowest.estimates[CLAIM].value, 2)}.",
        )
    if findings.num_tests > 1:
        adjusted = [e.holm for panel in defined for e in panel.estimates.values()]
        num_left = sum(p < SIGNIFICANT for p in adjusted)
        yield (
            "Many tests",
            f"of {findings.num_tests} coefficients {num_left} have p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}{SIGNIFICANT:.0%} after Holm's "
            "correction.",
        )
    aside = dict.fromkeys(name for e in defined if e.regret for name in e.regret.aside)
    if aside:
        yield (
            "Not a free choice",
            f"{findings.predictor.title} of {', '.join(aside)} needs a trained student, so nobody can choose it "
            f"by {findings.predictor.title}; it counts among the best.",
        )
    own = [e for e in defined if e.panel.source == OWN]
    if num_split := sum(e.num_parts > 1 for e in own):
        yield (
            "Unequal seeds",
            f"in {num_split} of {counted(len(own), 'panel')} augmentations share no seed, so that their "
            "differences hold what seeds shift.",
        )
    most = max(e.n for e in findings.evidence)
    if num_short := sum(e.n < most for e in findings.evidence):
        yield (
            "Partial",
            f"{num_short} of {len(findings.evidence)} panels have fewer augmentations than others.",
        )
    yield from (("Partial", f"{note}.") for note in half_filled_notes(findings.evidence))
    yield from (("Undefined", f"{note}.") for note in undefined_notes(cells_of(findings)))
