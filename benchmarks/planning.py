"""How long 100,000 trials take to expand, fingerprint and plan, and how much memory.

Run on one core: OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/planning.py
"""

import argparse
import resource
import tempfile
import time

from orchestrator.language.resources import KINDS
from orchestrator.language.sweep import Sweep
from orchestrator.planning.plan import expand, make_plan
from orchestrator.planning.scheduling import Capacity
from orchestrator.planning.simulation import best_simulation
from orchestrator.planning.states import counts_by_kind
from orchestrator.store.store import Store

PAPERS_PAIRS = [
    *("wrn_40_2/wrn_16_2", "wrn_40_2/wrn_40_1", "resnet56/resnet20", "resnet32x4/resnet8x4"),
    *("vgg13/vgg8", "vgg13/MobileNetV2", "ResNet50/vgg8", "resnet32x4/ShuffleV1"),
    "resnet32x4/ShuffleV2",
]


def sweep(seeds: int) -> Sweep:
    content = {
        "name": "large",
        "dataset": ["cifar100", "tinyimagenet"],
        "pairs": PAPERS_PAIRS,
        "augmentations": "all",
        "seeds": list(range(seeds)),
    }
    return Sweep.model_validate(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=385)
    parser.add_argument("--gpus", type=int, default=256)
    options = parser.parse_args()
    large = sweep(options.seeds)
    begun = time.perf_counter()
    trials = expand(large)
    expanded = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(large, Store(folder), retry_failed=False)
        counts = counts_by_kind(plan, {})
    planned = time.perf_counter()
    asked = large.resources
    decided = asked.model_copy(
        update={kind: asked.of(kind).on(cluster_has_gpus=True) for kind in KINDS}
    )
    run = best_simulation(trials, (), Capacity(float("inf"), options.gpus), decided)
    simulated = time.perf_counter()
    print(f"{len(trials):,} trials: { ({kind: sum(n.values()) for kind, n in counts.items()}) }")
    print(f"expanded and fingerprinted in {expanded - begun:.1f} s")
    print(f"planned against a store (expanding once more) in {planned - expanded:.1f} s")
    print(
        f"grouped and simulated on {options.gpus} GPUs in {simulated - planned:.1f} s: "
        f"{len(run.groups):,} jobs, {run.over_bound:.1%} over the lower bound"
    )
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")


if __name__ == "__main__":
    main()
