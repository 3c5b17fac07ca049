"""Part 1: what must be so on any device."""

import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torchvision.transforms.functional import equalize as of_torchvision

from benchmarks.gpu_check.groups import (
    PAIRS,
    Images,
    MemoryKeeper,
    Pair,
    digest,
    measurements,
    run,
    stopping_after,
    students,
    teacher,
)
from trainer.augmentations.equalize import equalize
from trainer.augmentations.schemes import PolicyDecision
from trainer.catalog import ARCHITECTURES, AUGMENTATIONS
from trainer.device import check_precision
from trainer.keeper import Command
from trainer.trial import ExecutionMode, Trial

Finding = dict[str, Any]
SMALL = Pair("resnet8", "resnet8")
EAGER: ExecutionMode = "eager"
GRAPH: ExecutionMode = "graph"


class DifferentBitsError(Exception):
    """Two runs that must agree do not."""


def checks(
    device: torch.device, *, is_smoke: bool
) -> Iterator[tuple[str, Callable[[], Finding | None]]]:
    """Names, and what to do; each raises where something is wrong."""
    images = Images(4, 2) if is_smoke else Images(64, 4)
    precisions = ("fp32", "bf16") if is_smoke else ("fp32", "tf32", "bf16")
    yield "bytes of AutoAugment", partial(_bytes_of_autoaugment, device)
    for name in ARCHITECTURES[:2] if is_smoke else ARCHITECTURES:
        yield f"bits of {name}", partial(_bits_of, name, images, device)
    for precision in precisions:
        group = students(SMALL, images, precision=precision, epochs=2)
        yield f"students in {precision}", partial(_bits_in_groups, group, images, device)
    each = students(SMALL, images, AUGMENTATIONS[1:], randomness="sample", epochs=2)
    yield "students, per image", partial(_bits_in_groups, each, images, device)
    otherwise = [
        *students(SMALL, images, ["cutmix"], epochs=2, method="dist", label_smoothing=0.1),
        *students(
            *(SMALL, images, ["cutmixpick_s"]),
            epochs=2,
            method="dkd",
            method_warmup_epochs=3,
            optimiser="adamw",
            schedule="cosine",
            clip_norm=1.0,
        ),
    ]
    yield "students, taught otherwise", partial(_bits_in_groups, otherwise, images, device)
    yield "T. stddev", partial(_bits_in_groups, measurements(SMALL, images), images, device)
    yield "a teacher", partial(_bits_in_groups, teacher(SMALL, images), images, device)
    for pair in (SMALL,) if is_smoke else PAIRS:
        for precision in precisions:
            group = students(pair, images, precision=precision)
            yield f"lanes of {pair} in {precision}", partial(_bits_in_lanes, group, images, device)
    if device.type == "cuda":
        for mode in (EAGER, GRAPH):
            yield f"waits of the host, {mode}", partial(_waits, images, device, mode)
            yield f"no memory, {mode}", partial(_no_memory, images, device, mode)


def outcome(check: Callable[[], Finding | None]) -> Finding:
    """What a check found; an exception is its failure, and the next check goes on."""
    try:
        found = check()
    except Exception as error:  # noqa: BLE001
        trace = traceback.format_exception(error)
        return {"ok": False, "error": f"{type(error).__name__}: {error}"[:600], "at": trace[-2:]}
    return {"ok": True, **(found or {})}


def _bytes_of_autoaugment(device: torch.device) -> Finding:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator)
    images[0], images[1] = 7, images[1] // 64
    if not torch.equal(equalize(images.to(device)).cpu(), of_torchvision(images)):
        raise DifferentBitsError("Equalize gives other bytes than torchvision's on the CPU")
    other = {}
    for policy in range(25):
        decision = PolicyDecision(policy, (0.0, 0.0), (0, 1))
        here, there = decision.transform(images), decision.transform(images.to(device)).cpu()
        if count := int((here != there).sum()):
            other[policy] = count
    return {"sub-policies with other bytes than on the CPU, and how many of 196,608": other}


def _digests(
    trials: Sequence[Trial],
    images: Images,
    device: torch.device,
    mode: ExecutionMode,
    stops: Sequence[int] = (),
) -> dict[str, str]:
    """Run a group to its end, stopped after some steps on the way; raises what a member raised."""
    first = trials[0]
    student = getattr(first, "student", None) or first.teacher
    pair = Pair(first.teacher, student)
    keeper = MemoryKeeper(pair, images.image_size)
    for stop in stops:
        keeper.after = stopping_after(keeper.num_steps + stop)
        run(trials, keeper, images, device, mode)
    keeper.after = stopping_after()
    run(trials, keeper, images, device, mode)
    for error in keeper.failures.values():
        raise error
    return {fingerprint: digest(result) for fingerprint, result in keeper.results.items()}


def _same(one: dict[str, str], other: dict[str, str], what: str) -> None:
    differing = [fp[:8] for fp in other if one[fp] != other[fp]]
    if differing or not other:
        raise DifferentBitsError(f"{what}: {len(differing)} of {len(other)} trials differ")


def _bits_of(name: str, images: Images, device: torch.device) -> None:
    trials = students(Pair("resnet8", name), images, ["cutmix"])
    first = _digests(trials, images, device, EAGER)
    _same(first, _digests(trials, images, device, EAGER), "eager, twice")
    _same(first, _digests(trials, images, device, GRAPH), "eager and replayed")


def _bits_in_groups(group: Sequence[Trial], images: Images, device: torch.device) -> None:
    check_precision(device, group[0].precision)
    first = _digests(group, images, device, EAGER)
    _same(first, _digests(group, images, device, GRAPH), "eager and replayed")
    steps = images.steps
    for mode in (EAGER, GRAPH):
        # In the middle of an epoch, before its short last batch, and after it.
        stopped = _digests(group, images, device, mode, stops=(steps - 1, 1, 1))
        _same(first, stopped, f"stopped three times, {mode}")
        for trial in (group[0], group[-1]):
            _same(first, _digests([trial], images, device, mode), f"alone, {mode}")


def _bits_in_lanes(group: Sequence[Trial], images: Images, device: torch.device) -> None:
    """Replayed side by side, as a whole group is, large students give the bits that they give one by one."""
    check_precision(device, group[0].precision)
    _same(
        _digests(group, images, device, EAGER), _digests(group, images, device, GRAPH), "in lanes"
    )


def _waits(images: Images, device: torch.device, mode: ExecutionMode) -> Finding:
    """Where the host waits within steps; the first captures, so it is not watched."""
    found: Counter[str] = Counter()

    def watch(step: int) -> Command:
        torch.cuda.set_sync_debug_mode("warn" if 1 <= step < images.steps - 1 else "default")
        return Command.STOP if step == images.steps - 1 else Command.GO_ON

    keeper = MemoryKeeper(SMALL, images.image_size, watch)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(students(SMALL, images), keeper, images, device, mode)
    torch.cuda.set_sync_debug_mode("default")
    for warning in caught:
        if "called a synchronizing" in str(warning.message):
            found[f"{warning.filename.rpartition('/')[2]}:{warning.lineno}"] += 1
    if found:
        raise AssertionError(f"the host waits: {dict(found)}")
    return {"steps": images.steps - 2}


def _no_memory(images: Images, device: torch.device, mode: ExecutionMode) -> Finding:
    """A member without memory leaves; afterwards the same process computes the same bits as before."""
    trials = students(Pair("resnet8", "ResNet50"), images, ["cutmix"])
    before = _digests(trials, images, device, mode)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (600 << 20) / total))
    keeper = MemoryKeeper(Pair("resnet8", "ResNet50"), images.image_size)
    try:
        run(trials, keeper, images, device, mode)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    errors = [type(error).__name__ for error in keeper.failures.values()]
    if errors != ["OutOfMemoryError"]:
        raise AssertionError(f"expected OutOfMemoryError, came {errors}")
    _same(before, _digests(trials, images, device, mode), "before and after")
    return {"error": errors[0]}
