"""The top of the page: the question, the answer, of how much it is, and how far the sweeps are.

The answer is what choosing by T. stddev loses, since a reader has to choose, and beside it how well T. stddev
orders them.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

import pandas as pd

from analysis.bootstrap import LEVEL, Interval
from analysis.correlation_tables import LEAST, interval, number, p_equals
from analysis.evidence import Findings
from analysis.grid import DASH
from analysis.markup import tag, text
from analysis.points import Panel
from analysis.pooling import Pooled
from analysis.predictors import Predictor
from analysis.regret import Estimated, Regret
from analysis.settings import OWN
from analysis.tables import all_alike

CLAIM = "kendall"
"""The coefficient of the headline: of the three it says most about an order, and least about outliers."""


class Progress(Protocol):
    """How far a sweep is; counts are None where they are unknown."""

    @property
    def name(self) -> str: ...
    @property
    def total(self) -> int | None: ...
    @property
    def done(self) -> int | None: ...
    @property
    def failed(self) -> int | None: ...
    @property
    def remarks(self) -> Sequence[str]:
        """Lines that the sweep says of itself."""
        ...


def question(findings: Findings) -> str:
    return f"Does {findings.predictor.title} predict S. test loss?"


def answer(
    rows: pd.DataFrame,
    panels: Sequence[Panel],
    findings: Findings,
    progress: Sequence[Progress],
    num_failed: int,
) -> str:
    return tag(
        "div",
        tag("h1", text(question(findings))),
        *(tag("p", sentence, class_="claim") for sentence in _claims(findings)),
        tag("div", *_tiles(rows, panels, num_failed), class_="tiles"),
        *(_progress(sweep) for sweep in progress),
        class_="summary",
        id="answer",
    )


def _tiles(rows: pd.DataFrame, panels: Sequence[Panel], num_failed: int) -> Iterator[str]:
    kinds = Counter(rows["kind"])
    seeds = {seed for p in panels for _, x, y in p.cells() for c in (x, y) for seed in c.seeds}
    augmentations = {point.augmentation for panel in panels for point in panel.points}
    of_own = ((kinds["predictor"], "own predictor run", "own predictor runs"),)
    num_imported = int((rows["source"] != OWN).sum())
    for count, one, many in (
        (len({p.dataset for p in panels}), "data set", "data sets"),
        (len({(p.dataset, p.pair) for p in panels}), "pair", "pairs"),
        (len(panels), "panel", "panels"),
        (len(augmentations), "augmentation", "augmentations"),
        (len(seeds), "seed", "seeds"),
        (kinds["teacher"], "teacher", "teachers"),
        (kinds["student"], "student", "students"),
        (kinds["stddev"], "T. stddev run", "T. stddev runs"),
        *(of_own if kinds["predictor"] else ()),
    ):
        yield _tile(count, one if count == 1 else many)
    if num_imported:
        yield _tile(num_imported, "imported")
    yield _tile(num_failed, "failed", "tile bad" if num_failed else "tile")


def _tile(count: int, words: str, kind: str = "tile") -> str:
    return tag("div", tag("b", text(count)), " ", tag("span", text(words)), class_=kind)


def _claims(findings: Findings) -> tuple[str, ...]:
    """A sentence each on regret and on the coefficient: of the store's own results, if it has any."""
    sources = {evidence.panel.source for evidence in findings.evidence}
    for source in sorted(sources, key=lambda source: source != OWN):
        if claims := _claims_of(source, findings, is_alone=len(sources) == 1):
            return claims
    if any(evidence.n >= LEAST for evidence in findings.evidence):
        return (text(f"Not to be known: {all_alike(findings.predictor)}."),)
    return ("Not yet known: no pair has three augmentations with both values.",)


def headline(findings: Findings, source: str) -> Pooled | None:
    """The widest pool of a source, that of most panels; None where it has none with a coefficient."""
    pools = [
        pooled
        for pooled in findings.pooled
        if pooled.source == source and math.isfinite(pooled.estimates[CLAIM].value)
    ]
    return max(pools, key=lambda pooled: (pooled.num_panels, pooled.n), default=None)


def _claims_of(source: str, findings: Findings, *, is_alone: bool) -> tuple[str, ...]:
    """Of the widest pool of a source, else of its first panel with a coefficient; none where there is none."""
    whose = "" if is_alone and source == OWN else f" ({source} results)"
    mine = [evidence for evidence in findings.evidence if evidence.panel.source == source]
    defined = [e for e in mine if math.isfinite(e.estimates[CLAIM].value)]
    regret: Regret | None
    if pooled := headline(findings, source):
        estimate = pooled.estimates[CLAIM]
        teachers = f"{len(pooled.teachers)} teacher{'s' if len(pooled.teachers) > 1 else ''}"
        num_all = len({(e.panel.dataset, e.panel.pair) for e in mine})
        if pooled.num_pairs < num_all:
            where = f"Over {pooled.num_pairs} of {num_all} pairs of {teachers}"
        else:
            where = f"Over {pooled.num_pairs} pair{'s' if num_all > 1 else ''} of {teachers}"
        if pooled.setting:
            where += f" ({pooled.setting})"
        value, p, wide, n = estimate.value, estimate.p, estimate.over_augmentations, pooled.n
        regret = pooled.regret
    elif defined:
        evidence = defined[0]
        own = evidence.estimates[CLAIM]
        where = f"For {evidence.panel.title}"
        value, p, wide, n = own.value, own.p, own.over_augmentations, evidence.n
        regret = evidence.regret
    else:
        return ()
    ends = interval(wide)
    reach = "" if ends == DASH else f" ({LEVEL:.0%} over augmentations: {ends})"
    coefficient = (
        f"Kendall's τ is <b>{number(value, 2)}</b>{reach}; "
        f"if the two were unrelated, so strong a value would come up with {text(p_equals(p))}. "
        f"n = {n} augmentations."
    )
    first, *more = (*_regret_claim(regret, findings.predictor), coefficient)
    return (f"{text(where)}{text(whose)}, {first}", *more)


def _regret_claim(regret: Regret | None, predictor: Predictor) -> Iterator[str]:
    """`Choosing by T. stddev loses 0.000 (95% over seeds: 0.000 to 0.004) of S. test loss`, beside chance."""
    if regret is None:
        return
    yield (
        f"choosing an augmentation by {text(predictor.title)} loses <b>{number(regret.choice.value)}</b>"
        f"{_over_seeds(regret.choice)} of S. test loss against the best; "
        f"a random choice loses {number(regret.random.value)}."
    )


def _over_seeds(estimated: Estimated) -> str:
    ends: Interval = estimated.over_seeds
    if math.isnan(ends.low):
        return ""
    return f" ({LEVEL:.0%} over seeds: {ends.low:z.4f} to {ends.high:z.4f})"


def _progress(sweep: Progress) -> str:
    if sweep.total is None or sweep.done is None:
        words = f"{sweep.name}: this kdsweep cannot read the sweep as it was saved"
        return tag("p", text(words), class_="progress")
    share = sweep.done / sweep.total if sweep.total else 1.0
    words = f"{sweep.name}: {sweep.done} of {sweep.total} trials finished"
    if sweep.failed:
        words += f", {sweep.failed} failed"
    if sweep.done < sweep.total:
        words += ": everything below is partial"
    bar = tag("i", tag("i", style=f"width:{100 * share:.1f}%"), class_="bar", aria_hidden="true")
    said = (tag("p", text(line), class_="note") for line in sweep.remarks)
    return tag("p", bar, tag("span", text(words)), class_="progress") + "".join(said)
