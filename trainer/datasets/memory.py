"""Whether images fit into memory, asked before they are decoded: whoever runs out of it is killed without a word."""

import math
from contextlib import suppress
from pathlib import Path

from trainer.datasets.errors import DataError

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
LEAST_IMAGE_SIZE = 8


def available_bytes(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Memory that this process can still have: the machine's, or what its container or job leaves of it.

    Args:
        proc, cgroups: where Linux tells.

    Returns:
        None where nothing tells.
    """
    known = [_of_machine(proc), *_of_groups(proc, cgroups)]
    return min((free for free in known if free is not None), default=None)


def _of_machine(proc: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_groups(proc: Path, cgroups: Path) -> list[int | None]:
    """What each control group of version 2 that holds this process leaves, up to the outermost that is seen."""
    place = ""
    with suppress(OSError):
        lines = (proc / "self" / "cgroup").read_text().splitlines()
        place = next((line[3:] for line in lines if line.startswith("0::")), "")
    own = cgroups / place.strip("/")
    return [_of_group(group) for group in (own, *own.parents) if group.is_relative_to(cgroups)]


def _of_group(group: Path) -> int | None:
    with suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        # Files that were read once are dropped before anybody is killed.
        stat = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        dropped = next((int(n) for name, n in stat if name == "inactive_file"), 0)
        return max(0, limit - used + dropped)
    return None


def check_fits(needed: int, where: object, hint: str = "") -> None:
    """Raises `DataError` where so many bytes of memory cannot be had."""
    free = available_bytes()
    if free is not None and needed > free:
        raise DataError(
            f"{where}: decoding it takes {needed:,} bytes of memory, and {free:,} are available here"
            f"{hint or '; a machine with more memory could'}"
        )


def check_images_fit(count: int, size: int, where: object) -> None:
    """The same of `count` RGB images of `size` x `size` pixels, which could be smaller."""
    free = available_bytes() or 0
    fitting = math.isqrt(max(0, free // count - 8) // 3) if count else 0
    smaller = f"; image_size: {fitting} would fit" if fitting >= LEAST_IMAGE_SIZE else ""
    told = f" ({count:,} images of {size}x{size})"
    check_fits(bytes_of(count, size), f"{where}{told}", smaller)


def bytes_of(count: int, size: int) -> int:
    """What RGB images take with their labels."""
    return count * (3 * size * size + 8)
