"""Sweep files for the tests."""

from pathlib import Path
from typing import Any

import yaml

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "fashion_mini", "train_images": 160, "test_images": 50},
    "pairs": ["resnet8/resnet8"],
    "augmentations": ["identity", "cutmix", "cutmixpick_s"],
    "seeds": [0],
    "teachers": {"epochs": 1},
    "student": {"epochs": 1},
    "stddev": {"epochs": 4},
}


def write_sweep(folder: Path, **changes: Any) -> Path:
    """A sweep that runs in seconds, with changes; None removes a key."""
    content = {k: v for k, v in (TINY | changes).items() if v is not None}
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
