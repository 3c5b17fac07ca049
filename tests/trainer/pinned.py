"""Tests of what torch does inside, which another version may do otherwise."""

from pathlib import Path

import pytest
import torch

_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_PINNED = {line for line in _CONSTRAINTS.read_text().split() if line.startswith("torch==")}
_HERE = f"torch=={torch.__version__.partition('+')[0]}"

with_pinned_torch = pytest.mark.skipif(
    {_HERE} != _PINNED, reason=f"tried with {', '.join(_PINNED)}, not with {_HERE}"
)
