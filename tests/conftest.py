"""What all tests share: golden files, and a data set small enough to train on in a second."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from trainer.datasets.dataset import Dataset, load_dataset
from trainer.trial import Data

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A user has none of these: unbuffered, what fails to be written fails elsewhere.
for variable in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(variable, None)

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    """The content of a golden JSON file."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def tiny_data() -> Data:
    return Data.official("fashion_mini", train_images=150, test_images=50)


@pytest.fixture(scope="session")
def tiny_dataset(tiny_data: Data) -> Dataset:
    return load_dataset(tiny_data)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bits are promised for one number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def kdsweep() -> str:
    """The installed command."""
    return str(Path(sys.executable).with_name("kdsweep"))
