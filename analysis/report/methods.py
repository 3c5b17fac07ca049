"""The methods paragraph: what was measured, how it was weighed, with which versions and n."""

import math
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from analysis.correlation_tables import cells_of, counted, found_notes, permutation_words
from analysis.evidence import Findings
from analysis.markup import tag, text
from analysis.points import in_order
from analysis.result_tables import undefined_notes
from analysis.settings import OWN
from analysis.teacher_columns import needs_student


def methods(
    rows: pd.DataFrame, findings: Findings, commit: str | None, stated: Sequence[str] = ()
) -> str:
    """Ready to be copied into a paper; with what was stated of power before."""
    told = (" ".join(part) for part in _paragraphs(rows, findings, commit, stated))
    return "".join(tag("p", text(words)) for words in told if words)


def _paragraphs(
    rows: pd.DataFrame, findings: Findings, commit: str | None, stated: Sequence[str]
) -> Iterator[Iterable[str]]:
    yield _measured(rows, findings)
    yield _weighed(findings)
    yield _chosen(findings)
    if power := [*stated, *(f"{n[0].upper()}{n[1:]}." for n in found_notes(findings))]:
        yield power
    yield _software(rows, commit)


_DEFINITIONS = {
    "t_stddev": "the standard deviation, over windows of batches, of the teacher's mean probability of each class, "
    "averaged over classes",
    "entropy": "the mean entropy of the teacher's probabilities of augmented images, in nats",
    "confidence": "the mean of the teacher's largest probability of augmented images",
    "covariance_trace": "the trace of the covariance, over windows of batches, of the teacher's mean probabilities of "
    "the classes",
}


def _measured(rows: pd.DataFrame, findings: Findings) -> Iterator[str]:
    predictor = findings.predictor
    what = _DEFINITIONS.get(
        predictor.name, "a measure of the reader's own of what the teacher answers"
    )
    yield (
        "S. test loss is the cross-entropy of the student on the whole test set after its last epoch. "
        f"{predictor.title} is {what}; it needs no student{_but_for(findings)}."
    )
    yield (
        "A point is the mean over trials that differ in the seed only, by least squares (augmentation + seed) where "
        "some lack seeds that others have; ± is the standard deviation over seeds. "
        "Nothing else is averaged: other settings make other panels."
    )
    counts = {cell.n for e in findings.evidence for _, x, y in e.panel.cells() for cell in (x, y)}
    if counts:
        low, high = min(counts), max(counts)
        yield (
            f"Here n = {counted(low, 'seed')} per cell."
            if low == high
            else f"Here n = {low} to {high} seeds per cell."
        )
    yield from (f"{note[0].upper()}{note[1:]}." for note in undefined_notes(cells_of(findings)))
    imported = rows[rows["source"] != OWN]
    if not len(imported):
        return
    is_of_table = imported["form"] == "table"
    if logs := int((~is_of_table).sum()):
        yield (
            f"Imported from logs of other software: {counted(logs, 'run')}, in panels of their own, where "
            "the run's id takes the place of a seed."
        )
    if lines := int(is_of_table.sum()):
        yield (
            f"Imported from tables of other software: {counted(lines, 'run')}, in panels of their own. How they "
            "were made is not known here."
        )


def _but_for(findings: Findings) -> str:
    """Of schemes that pick by a student."""
    names = (point.augmentation for e in findings.evidence for point in e.panel.points)
    picks = [name for name in in_order(names) if needs_student(name)]
    return f", but for {', '.join(picks)}, picked by a student" if picks else ""


def _weighed(findings: Findings) -> Iterator[str]:
    tested = [e for e in findings.evidence if math.isfinite(e.estimates["kendall"].value)]
    if not tested:
        return
    sizes = {evidence.n for evidence in tested}
    yield f"Each correlation is over n = {' or '.join(map(str, sorted(sizes)))} augmentations."
    are_exact = {evidence.is_exact for evidence in tested}
    sources = "Pitman 1937" + ("" if all(are_exact) else "; Phipson and Smyth 2010")
    yield (
        f"p-values are two-sided ({permutation_words(are_exact)}; {sources}), adjusted over all "
        f"{findings.num_tests} coefficients by Holm (1979) and by Benjamini and Hochberg (1995). “As printed” are "
        "scipy's, as in the paper."
    )
    yield (
        f"Intervals at 95% are from {findings.bootstrap.num_samples} bootstrap samples: over seeds, of the "
        "residuals of augmentation + seed within each cell (Davison and Hinkley 1997), the hull of percentiles and "
        "of the same shifted to the estimate, about the coefficient that as many other seeds give on average, "
        "which seed noise pulls towards 0; over augmentations, BCa (Efron 1987) for Pearson's coefficient and, for "
        "those of ranks in a panel, the test of a normal copula inverted (pooled: a hull for Spearman's, BCa else). "
        "With few augmentations they are wide, and rightly so. Without seed noise, Pearson's coefficient is divided by "
        "the square root of the product of the reliabilities of the means (Spearman 1904), and those of ranks are moved "
        "by as much as those of a normal distribution."
    )
    if not findings.pooled:
        return
    yield (
        f"Pairs that share a teacher share {findings.predictor.title}, so a pooled coefficient is the mean over a teacher's pairs and "
        "then over teachers; its p-value permutes the augmentations of all panels at once, and its interval over "
        "teachers is Student's t on the teachers' means (Ibragimov and Müller 2010). Where a teacher not seen would lie is "
        "by random effects (REML; Hartung and Knapp 2001; Higgins, Thompson and Spiegelhalter 2009); the slope within "
        "teachers is that of the repeated-measures correlation (Bakdash and Marusich 2017)."
    )


def _chosen(findings: Findings) -> Iterator[str]:
    predictor = findings.predictor
    if any(evidence.regret for evidence in findings.evidence):
        yield (
            f"Regret is the S. test loss of the augmentation of {predictor.best} {predictor.title}, minus the lowest of all (simple "
            "regret: Bubeck, Munos and Stoltz 2009), beside the mean over augmentations; its interval is over "
            f"seeds, of loss and {predictor.title} jointly (Edwards and Hsu 1983). The lowest of noisy means looks too "
            "good, so losses are estimated rather too high, of all ways to choose by as much."
        )


def _software(rows: pd.DataFrame, commit: str | None) -> Iterator[str]:
    for title, column in (
        ("kdsweep", "kdsweep_version"),
        ("Python", "python_version"),
        ("torch", "torch_version"),
        ("Ray", "ray_version"),
        ("devices:", "device"),
        ("precision:", "precision"),
        ("execution:", "execution"),
        ("commits", "git_commit"),
    ):
        if column in rows:
            versions = sorted(set(rows[column].dropna().astype(str)))
            if versions:
                shown = ", ".join(v[:10] if column == "git_commit" else v for v in versions)
                yield f"{title} {shown};"
    yield "numpy and scipy did the statistics" + (
        f", kdsweep at commit {commit[:10]}{'-dirty' if commit.endswith('-dirty') else ''} wrote this page."
        if commit
        else "."
    )
