"""Part 2: what each choice gives, measured on whole groups."""

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_check.groups import (
    NUM_CLASSES,
    PAIRS,
    Images,
    MemoryKeeper,
    Pair,
    measurements,
    run,
    students,
)
from trainer import layout
from trainer.frozen import FrozenModel
from trainer.keeper import Command
from trainer.models import build_model
from trainer.trial import ExecutionMode, Precision, Trial

LAYOUTS = {"NHWC": torch.channels_last, "NCHW": torch.contiguous_format}


@dataclass(frozen=True)
class Effort:
    """Steps before the clock starts, and while it runs."""

    warm_up: int
    timed: int

    @property
    def steps(self) -> int:
        return self.warm_up + self.timed


def measurements_of_speed(
    device: torch.device, *, is_smoke: bool
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Names, and what to measure: the choices that matter most for all pairs first."""
    effort = Effort(1, 1) if is_smoke else Effort(3, 12)
    batch_size = 4 if is_smoke else 64
    pairs = (Pair("resnet8", "resnet8"),) if is_smoke else PAIRS
    precisions: tuple[Precision, ...] = ("fp32", "bf16") if is_smoke else ("fp32", "tf32", "bf16")
    images = Images(batch_size, effort.steps)
    modes: tuple[ExecutionMode, ...] = ("eager", "graph")
    for mode in reversed(modes):
        for name in LAYOUTS:
            for precision in precisions:
                for pair in pairs:
                    group = students(pair, images, precision=precision)
                    measure = partial(_per_step, group, pair, images, device, mode, effort)
                    yield (
                        f"group of nine|{pair}|{precision}|{name}|{mode}",
                        partial(_with_layout, name, measure),
                    )
    for pair in pairs:
        for mode in modes:
            alone, watched = students(pair, images, ["cutmix"]), measurements(pair, images)
            for what, group in (("cutmix alone", alone), ("T. stddev of nine", watched)):
                measure = partial(_per_step, group, pair, images, device, mode, effort)
                yield f"{what}|{pair}|fp32|{mode}", measure
    for pair in pairs[:3]:
        for mode in modes:
            measure = partial(_busy, students(pair, images), pair, images, device, mode, effort)
            yield f"busy share of nine|{pair}|fp32|{mode}", measure
    for name in dict.fromkeys(pair.teacher for pair in pairs):
        for precision in precisions:
            yield (
                f"teacher pass|{name}|{precision}",
                partial(_teacher_pass, name, precision, batch_size, device, effort),
            )


def _with_layout(name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    before = layout.LAYOUT
    layout.LAYOUT = LAYOUTS[name]
    try:
        return measure()
    finally:
        layout.LAYOUT = before


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Watch:
    """Starts the clock after the warm-up, and stops the group when it has seen enough steps."""

    def __init__(self, device: torch.device, effort: Effort) -> None:
        self._device = device
        self._effort = effort
        self.began = time.perf_counter()
        self.start = self.end = self.first = 0.0

    def __call__(self, step: int) -> Command:
        if step == 1:
            _settle(self._device)
            self.first = time.perf_counter() - self.began
        if step == self._effort.warm_up:
            _settle(self._device)
            self.start = time.perf_counter()
        if step == self._effort.steps:
            _settle(self._device)
            self.end = time.perf_counter()
            return Command.STOP
        return Command.GO_ON

    @property
    def ms_per_step(self) -> float:
        return 1e3 * (self.end - self.start) / self._effort.timed


def _per_step(
    group: list[Trial],
    pair: Pair,
    images: Images,
    device: torch.device,
    mode: ExecutionMode,
    effort: Effort,
) -> dict[str, Any]:
    on_cuda = device.type == "cuda"
    gc.collect()
    if on_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    watch = _Watch(device, effort)
    keeper = MemoryKeeper(pair, images.image_size, watch)
    run(group, keeper, images, device, mode)
    for error in keeper.failures.values():
        raise error
    found: dict[str, Any] = {
        "ms_per_step": round(watch.ms_per_step, 3),
        "first_step_s": round(watch.first, 2),
    }
    if on_cuda:
        found["peak_MiB"] = torch.cuda.max_memory_allocated(device) >> 20
        found["reserved_MiB"] = torch.cuda.max_memory_reserved(device) >> 20
    return found


def _busy(
    group: list[Trial],
    pair: Pair,
    images: Images,
    device: torch.device,
    mode: ExecutionMode,
    effort: Effort,
) -> dict[str, Any]:
    """The time in which at least one kernel runs."""
    kinds = [ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(ProfilerActivity.CUDA)
    profiler = profile(activities=kinds)
    watch = _Watch(device, effort)

    def watched(step: int) -> Command:
        said = watch(step)
        if step == effort.warm_up:
            profiler.start()
            watch.start = time.perf_counter()
        if said is Command.STOP:
            profiler.stop()
        return said

    keeper = MemoryKeeper(pair, images.image_size, watched)
    run(group, keeper, images, device, mode)
    events = profiler.events() or []  # type: ignore[no-untyped-call]
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in events
        if event.device_type.name == "CUDA"
    )
    return {
        "kernels_per_step": round(len(spans) / effort.timed),
        "busy_ms_per_step": round(_covered(spans) / 1e3 / effort.timed, 3),
        "ms_per_step_profiled": round(watch.ms_per_step, 3),
    }


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """The length of the union of intervals, which come sorted."""
    covered, until = 0.0, -math.inf
    for start, end in spans:
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def _teacher_pass(
    name: str, precision: Precision, batch_size: int, device: torch.device, effort: Effort
) -> dict[str, Any]:
    """Milliseconds of a frozen pass, operation by operation."""
    model = layout.placed(build_model(name, NUM_CLASSES, 32, np.random.default_rng(0)), device)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(batch_size, 3, 32, 32, generator=generator)
    given = layout.laid_out(pixels.to(device))
    frozen = FrozenModel(model, precision)
    for step in range(effort.steps):
        if step == effort.warm_up:
            _settle(device)
            start = time.perf_counter()
        frozen(given)
    _settle(device)
    return {"ms": round(1e3 * (time.perf_counter() - start) / effort.timed, 3)}
