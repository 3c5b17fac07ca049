"""The devices that a plan can be priced for, by what their makers say of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from trainer.problems import UserError, did_you_mean

ATTAINED: Mapping[str, float] = MappingProxyType({"fp32": 0.3, "tf32": 0.13, "bf16": 0.11})
"""The share of a device's arithmetic that convolutions are taken to attain, by precision.

What groups of nine with VGG students attain on an H200 (docs/performance.md), and taken for all: thin networks on
small images fill no device. It acts on arithmetic alone.
"""

GPU_LAUNCH_SECONDS = 2.5e-6
"""Of a kernel that is too short for anything else to count, in steps that are replayed in lanes: on that H200 1.9
to 3.4 us came of groups that have little else. Launched one by one from Python, each takes ten times as long.
"""


@dataclass(frozen=True)
class Device:
    """One device at its peak: `bandwidth` in TB/s, arithmetic in dense TFLOP/s by precision.

    `tf32` and `bf16` are None where the hardware has none: such trials are taken to run at fp32's rate.
    `launch_seconds` pass for each launch. `model` is how the names that torch tells call it, a
    regular expression.
    """

    name: str
    title: str
    model: str
    bandwidth: float
    fp32: float
    tf32: float | None
    bf16: float | None
    source: str
    launch_seconds: float = GPU_LAUNCH_SECONDS

    def tflops(self, precision: str) -> float:
        """What convolutions are taken to attain in `fp32`, `tf32` or `bf16`: never less than in fp32."""
        peaks = {"fp32": self.fp32, "tf32": self.tf32, "bf16": self.bf16}
        attained = ATTAINED[precision] * (peaks[precision] or 0.0)
        return max(attained, ATTAINED["fp32"] * self.fp32)

    def lacks(self, precision: str) -> bool:
        """Whether the hardware has no arithmetic of this precision."""
        return {"tf32": self.tf32, "bf16": self.bf16}.get(precision, self.fp32) is None

    def is_called(self, device_name: str) -> bool:
        """Whether rows that name this device (`NVIDIA A100-SXM4-80GB`, `cpu`) are of it.

        Other builds of the same chip are; a part of one (MIG) and its relatives (Ti, Laptop) are not.
        """
        others = r"(?!.*\b(MIG|Ti|SUPER|Laptop|D)\b)"
        return re.search(rf"\b{self.model}\b{others}", device_name) is not None


_GPUS = (
    Device("h200", "NVIDIA H200 SXM", "H200", 4.8, 67, 494.5, 989, "NVIDIA H200 datasheet"),
    Device("h100", "NVIDIA H100 SXM", "H100", 3.35, 67, 494.5, 989, "NVIDIA H100 datasheet"),
    Device("a100", "NVIDIA A100 SXM 80GB", "A100", 2.039, 19.5, 156, 312, "NVIDIA A100 datasheet"),
    Device("v100", "NVIDIA V100 SXM2", "V100", 0.9, 15.7, None, None, "NVIDIA V100 datasheet"),
    Device("l4", "NVIDIA L4", "L4", 0.3, 30.3, 60, 121, "NVIDIA L4 datasheet"),
    Device("t4", "NVIDIA T4", "T4", 0.32, 8.1, None, None, "NVIDIA T4 datasheet"),
    Device(
        "rtx4090",
        "NVIDIA GeForce RTX 4090",
        "RTX 4090",
        1.008,
        82.6,
        82.6,
        165.2,
        "NVIDIA Ada GPU architecture whitepaper",
    ),
    Device(
        "rtx3090",
        "NVIDIA GeForce RTX 3090",
        "RTX 3090",
        0.936,
        35.6,
        35.6,
        71,
        "NVIDIA Ampere GA102 GPU architecture whitepaper",
    ),
)

DEVICES: Mapping[str, Device] = MappingProxyType({device.name: device for device in _GPUS})
"""GPUs by their short names."""

CPU_CORE = Device(
    name="cpu",
    title="core of a server's CPU",
    model="cpu",
    bandwidth=0.01,
    fp32=0.166,
    tf32=None,
    bf16=None,
    source="arithmetic of two AVX-512 FMA units at 2.6 GHz and 10 GB/s of memory",
    launch_seconds=5e-6,
)
"""One core, which is its own host."""


def device_named(name: str) -> Device:
    """The GPU of a short name, however capitalised.

    Raises:
        UserError: there is none.
    """
    try:
        return DEVICES[name.lower()]
    except KeyError:
        told = did_you_mean(name, DEVICES)
        raise UserError(f"--device: unknown device {name!r}{told}") from None
