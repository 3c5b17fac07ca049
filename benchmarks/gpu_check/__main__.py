"""Is everything right on this GPU, and what does each choice give?

Run from the checkout: make gpu-check PYTHON=python3, or python3 -m benchmarks.gpu_check --part 1
Needs torch, torchvision, pydantic and safetensors; nothing of Ray. Two parts: 1 checks, 2 measures.
"""

import argparse
import importlib.util
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

NEEDED = ("torch", "torchvision", "numpy", "pydantic", "safetensors", "filelock", "PIL")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; returns 1 where a check failed, 2 where it cannot begin."""
    options = _parser().parse_args(arguments)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        where = "wheels may travel along in .gpu-check/, as docs/performance.md tells"
        sys.stderr.write(f"{sys.executable} lacks {', '.join(missing)}; {where}\n")
        return 2
    from benchmarks.gpu_check.correct import checks, outcome
    from benchmarks.gpu_check.speed import measurements_of_speed
    from trainer.device import NoGpuError, prepare_device

    try:
        device = prepare_device(num_threads=1, gpus=0 if options.smoke else 1)
    except NoGpuError as error:
        sys.stderr.write(f"{error}; --smoke tries everything at its smallest on the CPU\n")
        return 2
    about = _about(device)
    print(json.dumps(about), flush=True)
    try:
        report = _report_of(options.output, about)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"--output {options.output}: {error}\n")
        return 2
    found_here: list[str] = []
    known: list[str] = []
    for part, planned in ((1, checks), (2, measurements_of_speed)):
        if options.part not in (0, part):
            continue
        ends_at = time.monotonic() + options.seconds
        for name, act in planned(device, is_smoke=options.smoke):
            known.append(name)
            if options.only and not any(word in name for word in options.only):
                continue
            if time.monotonic() > ends_at:
                print(f"part {part}: {options.seconds:g} s are over, the rest is left out")
                break
            start = time.monotonic()
            found = outcome(act)
            found["seconds"] = round(time.monotonic() - start, 2)
            report["findings"][name] = found
            found_here.append(name)
            # After each: whatever happens next, this much is known.
            options.output.write_text(json.dumps(report, indent=1))
            print(f"{name}: {json.dumps(found)}", flush=True)
    if not found_here and options.only:
        sys.stderr.write(f"nothing has {' or '.join(options.only)} in its name; there are:\n")
        sys.stderr.writelines(f"  {name}\n" for name in known)
        return 2
    failed = [name for name in found_here if not report["findings"][name]["ok"]]
    told = ", ".join(failed) or "none"
    print(f"{len(found_here)} findings more in {options.output}; failed: {told}")
    return 1 if failed else 0


def _report_of(output: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run on the same device has found, to be added to; else a new report.

    Raises:
        ValueError: the file holds something else, which is not overwritten.
        OSError: it cannot be written.
    """
    report: dict[str, Any] = {"about": about, "findings": {}}
    if output.exists():
        kept = json.loads(output.read_text())
        if not isinstance(kept, dict) or kept.get("about") != json.loads(json.dumps(about)):
            raise ValueError(
                "it holds findings of another device or version, or none; name another"
            )
        report = kept
    output.write_text(json.dumps(report, indent=1))
    return report


def _about(device: "torch.device") -> dict[str, Any]:
    import torch

    from trainer.device import cudnn_version, device_name

    about: dict[str, Any] = {
        "device": device_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": cudnn_version(),
        "python": platform.python_version(),
    }
    if device.type == "cuda":
        driver = Path("/proc/driver/nvidia/version")
        about["driver"] = driver.read_text().splitlines()[0] if driver.exists() else "unknown"
        about["capability"] = torch.cuda.get_device_capability(device)
        about["memory_GiB"] = round(
            torch.cuda.get_device_properties(device).total_memory / 2**30, 1
        )
    return about


def _seconds(word: str) -> float:
    """Raises ArgumentTypeError of what is no length of time."""
    try:
        seconds = float(word)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, not {word!r}")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    add = parser.add_argument
    add(
        "--part",
        type=int,
        choices=(0, 1, 2),
        default=0,
        help="1 checks, 2 measures (default: both)",
    )
    add(
        "--seconds", type=_seconds, default=480.0, help="a part begins nothing later (default: 480)"
    )
    add("--only", nargs="+", metavar="WORD", help="only what has one of these in its name")
    add(
        "--output",
        type=Path,
        default=Path("gpu-check.json"),
        help="findings are added to those of the same device (default: gpu-check.json)",
    )
    add("--smoke", action="store_true", help="everything at its smallest, on the CPU")
    return parser


if __name__ == "__main__":
    sys.exit(main())
