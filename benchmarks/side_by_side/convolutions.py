"""The arithmetic of a step, and the best rate of a large convolution: how much of it a step attains."""

import itertools
import time

import torch
import torch.nn.functional as F

from benchmarks.side_by_side.workloads import Kind, Pair, Scale
from trainer.catalog import base_of, multiply_adds, pick_of
from trainer.trial import Precision

SHAPES = ((16, 128, 32), (16, 256, 16), (8, 512, 16))
"""Images, channels (in and out), pixels along a side; kernels of 3x3."""

REPEATS = 4


def best_rate(precision: Precision) -> float:
    """GFLOP per CPU second of the fastest 3x3 convolution of `SHAPES`, forward, one thread, either memory layout."""
    torch.set_num_threads(1)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    layouts = (torch.contiguous_format, torch.channels_last)
    rates = [_rate(shape, layout, dtype) for shape, layout in itertools.product(SHAPES, layouts)]
    return max(rates)


@torch.no_grad()
def _rate(shape: tuple[int, int, int], layout: torch.memory_format, dtype: torch.dtype) -> float:
    count, channels, size = shape
    images = torch.randn(count, channels, size, size, dtype=dtype).contiguous(memory_format=layout)
    kernels = torch.randn(channels, channels, 3, 3, dtype=dtype).contiguous(memory_format=layout)
    gflop = 2 * count * channels**2 * 9 * size**2 / 1e9
    best = float("inf")
    for _ in range(1 + REPEATS):
        begun = time.process_time()
        F.conv2d(images, kernels, padding=1)
        best = min(best, time.process_time() - begun)
    return gflop / best


def group_gflop(kind: Kind, pair: Pair, schemes: tuple[str, ...], scale: Scale) -> float:
    """GFLOP of one step of a group in lockstep: convolutions and linear layers, a backward pass as two forward ones.

    The teacher sees the batch and each run of each scheme once; a student sees both its views, forward and
    backward, and the pool that it scores.
    """
    picks = {scheme: pick_of(scheme) for scheme in schemes}
    runs: dict[str, int] = {"identity": 1}
    for scheme, pick in picks.items():
        base = base_of(scheme)
        runs[base] = max(runs.get(base, 1), pick.runs if pick else 1)
    scored = sum(pick.runs for pick in picks.values() if pick and pick.needs_student)
    trained = 3 * 2 * len(schemes) if kind == "student" else 0
    data, batch = scale.data, scale.batch_size
    teacher, student = (
        2 * multiply_adds(model, data.image_size, data.num_classes) / 1e9 for model in pair
    )
    return batch * (sum(runs.values()) * teacher + (trained + scored) * student)
