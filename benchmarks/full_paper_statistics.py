"""How long the statistics of a full-paper table take, and how that compares with scipy one sample at a time.

18 panels of nine augmentations and three seeds: exhaustive permutation tests, bootstrap over seeds and over
augmentations, influence, Holm, Benjamini-Hochberg and three pooled estimates.
Run on one core: OMP_NUM_THREADS=1 python benchmarks/full_paper_statistics.py
"""

import argparse
import time

import numpy as np
from scipy import stats

from analysis.bootstrap import Bootstrap
from analysis.coefficients import coefficients
from analysis.evidence import weigh
from analysis.points import Mean, Panel, Point
from trainer.catalog import AUGMENTATIONS

TEACHERS = (
    *("vgg13", "vgg13", "resnet56", "resnet56", "wrn_40_2", "wrn_40_2"),
    *("resnet32x4", "resnet32x4", "ResNet50"),
)


def cell(name: str, values: np.ndarray) -> Mean:
    fingerprints = tuple(f"{name} {seed}" for seed in range(len(values)))
    seeds = tuple(range(len(values)))
    return Mean(
        float(values.mean()),
        float(values.std(ddof=1)),
        seeds,
        tuple(map(float, values)),
        fingerprints,
    )


def made_up_panels() -> list[Panel]:
    """Nine pairs of five teachers on two data sets; a teacher's pairs share its T. stddev."""
    generator = np.random.default_rng(0)
    panels = []
    for dataset in ("cifar100", "tinyimagenet"):
        stddevs: dict[str, list[Mean]] = {}
        for i, teacher in enumerate(TEACHERS):
            if teacher not in stddevs:
                stddevs[teacher] = [
                    cell(f"{dataset} {teacher} {a}", 0.0055 - 2e-4 * k + 2e-5 * noise)
                    for k, (a, noise) in enumerate(
                        zip(AUGMENTATIONS, generator.standard_normal((9, 3)), strict=True)
                    )
                ]
            noises = generator.standard_normal((9, 3))
            points = tuple(
                Point(
                    a,
                    cell(f"{dataset} {i} {a}", 1.2 - 0.015 * k + 0.01 * noises[k]),
                    None,
                    stddevs[teacher][k],
                )
                for k, a in enumerate(AUGMENTATIONS)
            )
            panels.append(Panel(dataset, teacher, f"student{i}", "", "own", teacher, points))
    return panels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    panels = made_up_panels()
    start, cpu = time.perf_counter(), time.process_time()
    findings = weigh(panels, bootstrap=Bootstrap(options.samples))
    print(
        f"{len(panels)} panels, {findings.num_tests} coefficients, {options.samples} bootstrap samples: "
        f"{time.perf_counter() - start:.2f} s, {time.process_time() - cpu:.2f} s of CPU"
    )
    x, y = np.random.default_rng(1).standard_normal((2, 300, 9))
    start = time.perf_counter()
    one_by_one = [
        (
            stats.pearsonr(a, b).statistic,
            stats.spearmanr(a, b).statistic,
            stats.kendalltau(a, b).statistic,
        )
        for a, b in zip(x, y, strict=True)
    ]
    scipys = (time.perf_counter() - start) / len(x)
    wide_x, wide_y = np.tile(x, (30, 1)), np.tile(y, (30, 1))
    start = time.perf_counter()
    together = coefficients(wide_x, wide_y)
    ours = (time.perf_counter() - start) / len(wide_x)
    assert np.allclose(together[: len(x)], one_by_one)
    print(f"three coefficients of one sample: {scipys / ours:.0f} times faster than by scipy")


if __name__ == "__main__":
    main()
