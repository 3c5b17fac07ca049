"""From what trials ask for to seconds: by one figure, or by the roofline of a device.

A roofline lets each load take as long as what it has most of: arithmetic, memory traffic, or launches by the
host. Loads follow one another, and nothing of one hides behind another's. It is a model: as good as what it
is told of the device, until jobs that ran on one say by how much it is wrong.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from orchestrator.planning.costs import Load
from orchestrator.planning.devices import ATTAINED, Device

FLOPS = 2
"""Floating-point operations of a multiply-add."""

WEIGHT_BYTES = 4

ACTIVATION_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2}

Limit = Literal["arithmetic", "memory", "launches"]
"""What a load's time goes into."""


class Pricing(Protocol):
    """Turns loads into seconds of one device, and says where the figures come from."""

    @property
    def source(self) -> str: ...

    def seconds(self, load: Load) -> float: ...

    def limit(self, load: Load) -> Limit: ...

    def throughput(self, multiply_adds: float, seconds: float) -> "Throughput":
        """What work of so many multiply-adds, in so many seconds by this price, comes to."""
        ...


@dataclass(frozen=True)
class Throughput:
    """TFLOP/s of one GPU or one CPU, and where the figure comes from."""

    tflops: float
    source: str

    @property
    def multiply_adds(self) -> float:
        """Per second."""
        return self.tflops * 1e12 / FLOPS

    def seconds(self, load: Load) -> float:
        return load.multiply_adds / self.multiply_adds

    def limit(self, load: Load) -> Limit:
        return "arithmetic"

    def throughput(self, multiply_adds: float, seconds: float) -> "Throughput":
        return self


@dataclass(frozen=True)
class Roofline:
    """A device's roofline; `scale` is how much longer than by it measured jobs took, 1 without any."""

    device: Device
    scale: float = 1.0
    measured: str | None = None
    """What was measured: `9 trials of this store, on NVIDIA H100 80GB HBM3`."""

    @property
    def source(self) -> str:
        if self.measured:
            return f"the roofline of {self.device.name} times {self.scale:.3g}, measured on {self.measured}"
        return (
            f"assumed, not measured: {self.device.title} by the {self.device.source}, of its arithmetic "
            f"{', '.join(f'{share:.0%} in {name}' for name, share in ATTAINED.items())}, "
            f"{self.device.launch_seconds * 1e6:g} us per launch"
        )

    def _parts(self, load: Load) -> dict[Limit, float]:
        moved = ACTIVATION_BYTES[load.precision] * load.activations + WEIGHT_BYTES * load.weights
        return {
            "arithmetic": FLOPS * load.multiply_adds / (self.device.tflops(load.precision) * 1e12),
            "memory": moved / (self.device.bandwidth * 1e12),
            "launches": load.launches * self.device.launch_seconds,
        }

    def seconds(self, load: Load) -> float:
        return self.scale * max(self._parts(load).values())

    def limit(self, load: Load) -> Limit:
        parts = self._parts(load)
        return max(parts, key=lambda limit: parts[limit])

    def throughput(self, multiply_adds: float, seconds: float) -> Throughput:
        reached = FLOPS * multiply_adds / seconds / 1e12 if seconds else 0.0
        return Throughput(reached, self.source)
