"""Published checkpoints: a teacher's weights from a file that somebody else wrote.

Read are the authors' files (a dict with the key `model`), dicts with `state_dict` or `net`, plain
state dicts, each with or without the prefix `module.` that DataParallel leaves, and safetensors.
Nothing is unpickled but tensors and plain values (`weights_only=True`).
"""

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from trainer.checkpoint import CheckpointError
from trainer.models import build_model

WRAPPERS = ("model", "state_dict", "net")
PREFIX = "module."
_SCALAR = np.float64(0).__reduce__()[0]
HARMLESS: list[Any] = [
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
]
"""Some files keep an accuracy as a number of numpy's."""


def read_published(
    path: Path, sha256: str | None, architecture: str, num_classes: int
) -> dict[str, Tensor]:
    """The state_dict in a file, checked against an architecture.

    Raises:
        CheckpointError: the file is missing, changed, damaged or no checkpoint, or holds the weights of
            another architecture or number of classes.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror or error}") from error
    digest = hashlib.sha256(raw).hexdigest()
    if digest != sha256:
        raise CheckpointError(path, f"its SHA-256 is {digest}; {sha256} was planned")
    weights = _unwrapped(path, _content(path, raw))
    _check(path, weights, architecture, num_classes)
    return weights


def _content(path: Path, raw: bytes) -> Any:
    if path.suffix == ".safetensors":
        try:
            return load_safetensors(raw)
        except SafetensorError as error:
            raise CheckpointError(path, f"not a safetensors file: {error}") from error
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(HARMLESS):
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise almost anything
        raise CheckpointError(
            path, f"not a checkpoint of tensors and plain values ({type(error).__name__})"
        ) from error


def _unwrapped(path: Path, content: Any) -> dict[str, Tensor]:
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    is_plain = isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    if not is_plain or not content:
        raise CheckpointError(
            path,
            "no state_dict in it; expected one, plain or under the key "
            f"{' or '.join(map(repr, WRAPPERS))}",
        )
    return {name.removeprefix(PREFIX): value for name, value in content.items()}


def _check(path: Path, weights: Mapping[str, Tensor], architecture: str, num_classes: int) -> None:
    with torch.device("meta"):
        rng = np.random.default_rng(0)
        wanted = build_model(architecture, num_classes, 32, rng).state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = wanted.keys() - weights.keys() - counters
    unknown = weights.keys() - wanted.keys()
    if missing or unknown:
        example = sorted(missing or unknown)[0]
        fault = "lacks" if missing else "has"
        raise CheckpointError(
            path,
            f"not the weights of {architecture}: it {fault} {example!r} "
            f"({len(missing)} names are missing, {len(unknown)} are unknown)",
        )
    for name, tensor in weights.items():
        actual, expected = tuple(tensor.shape), tuple(wanted[name].shape)
        if actual == expected:
            continue
        if actual[1:] == expected[1:] and expected[:1] == (num_classes,):
            raise CheckpointError(path, f"made for {actual[0]} classes, not {num_classes}")
        raise CheckpointError(
            path, f"not the weights of {architecture}: {name} is {actual}, expected {expected}"
        )
