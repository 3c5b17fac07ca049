"""Published checkpoints: a teacher's weights from a file that somebody else wrote.

Read are files as they are found: the authors' (a dict with the key `model`), dicts with `state_dict` and the
like however nested, plain state dicts, each with or without the prefixes that modules around a model leave,
and safetensors. Nothing is unpickled but tensors and data that cannot act (`weights_only=True`).
"""

import argparse
import hashlib
import io
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from trainer.catalog import ARCHITECTURES
from trainer.checkpoint import CheckpointError
from trainer.models import build_model
from trainer.models.guests import build_guest
from trainer.trial import GuestModel

WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "model_state", "net", "network", "weights"),
    *("params", "module", "teacher", "model_ema", "ema", "state_dict_ema", "ema_state_dict"),
)
"""Keys under which files keep a state_dict; of several the first counts, so that averages come last."""

PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "network.", "net.")
"""What DataParallel, torch.compile and modules around a model put before its names."""

DEEPEST = 4

_SCALAR = np.float64(0).__reduce__()[0]
_RECONSTRUCT = np.zeros(1).__reduce__()[0]
_PLAIN_DTYPES = "biufcSUmM"
HARMLESS: list[Any] = [
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_RECONSTRUCT, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    np.ndarray,
    np.dtype,
    *{
        type(np.dtype(code))
        for code in (*np.typecodes["All"],)
        if np.dtype(code).kind in _PLAIN_DTYPES
    },
    argparse.Namespace,
    *((PurePosixPath, f"{module}.PosixPath") for module in ("pathlib", "pathlib._local")),
    *((PurePosixPath, f"{module}.PurePosixPath") for module in ("pathlib", "pathlib._local")),
    *((PureWindowsPath, f"{module}.WindowsPath") for module in ("pathlib", "pathlib._local")),
]
"""Data that training scripts keep beside the weights: options, accuracies, paths. None of it can act."""

_NOT_ALLOWED = re.compile(r"GLOBAL (?P<name>[\w.]+)")
USUAL_SIZE = 32
"""Of images, where weights do not depend on it."""

HOW_TO_SAVE = "load it where it was made and save torch.save(model.state_dict(), FILE)"


def read_published(
    path: Path,
    sha256: str | None,
    architecture: str,
    num_classes: int,
    guest: GuestModel | None = None,
    image_size: int = USUAL_SIZE,
) -> dict[str, Tensor]:
    """The state_dict in a file, checked against an architecture; a guest's may depend on the image size.

    Raises:
        CheckpointError: the file is missing, changed, damaged or no checkpoint, or holds the weights of
            another architecture or number of classes, or values that are not finite.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror or error}") from error
    digest = hashlib.sha256(raw).hexdigest()
    if digest != sha256:
        raise CheckpointError(path, f"its SHA-256 is {digest}; {sha256} was planned")
    wanted = _wanted(architecture, num_classes, guest, image_size)
    return _checked(path, _content(path, raw), architecture, num_classes, wanted)


def _wanted(
    architecture: str, num_classes: int, guest: GuestModel | None, image_size: int
) -> dict[str, Tensor]:
    """The state_dict of a fresh one."""
    rng = np.random.default_rng(0)
    if guest is not None:
        return build_guest(architecture, guest, num_classes, image_size, rng).state_dict()
    with torch.device("meta"):
        return build_model(architecture, num_classes, image_size, rng).state_dict()


def _content(path: Path, raw: bytes) -> Any:
    if path.suffix == ".safetensors":
        try:
            return load_safetensors(raw)
        except SafetensorError as error:
            raise CheckpointError(path, f"not a safetensors file: {error}") from error
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(HARMLESS):
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise almost anything
        found = _NOT_ALLOWED.search(str(error))
        what = f"it holds a {found['name']}" if found else type(error).__name__
        hint = f"; {HOW_TO_SAVE}" if found else ""
        raise CheckpointError(
            path, f"not a checkpoint of tensors and plain values ({what}){hint}"
        ) from error


def _state_dict(content: Any, wanted: Collection[str], depth: int = 0) -> dict[str, Tensor]:
    """The tensors by name, of a state_dict or of the first one within wrappers; empty where there is none."""
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return {}
    for key in WRAPPERS:
        if found := _state_dict(content.get(key), wanted, depth + 1):
            return found
    tensors = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
    # A layer's tensors have its name before a point; what has none is an accuracy or the like, if not the model's.
    return {name: tensor for name, tensor in tensors.items() if "." in name or name in wanted}


def _named(path: Path, weights: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """The weights by a model's own names, without the prefixes that others have put before them."""
    named: dict[str, Tensor] = {}
    for given, tensor in weights.items():
        name = given
        while name not in wanted and (prefix := next(filter(name.startswith, PREFIXES), "")):
            name = name.removeprefix(prefix)
        if name in named:
            raise CheckpointError(
                path, f"{name!r} stands there twice, the second time as {given!r}"
            )
        named[name] = tensor
    return named


def _checked(
    path: Path, content: Any, architecture: str, num_classes: int, wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    weights = _state_dict(content, wanted)
    if not weights:
        known = ", ".join(map(repr, WRAPPERS[:5]))
        raise CheckpointError(
            path, f"no state_dict in it; expected one, plain or under the key {known}, ..."
        )
    weights = _named(path, weights, wanted.keys())
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = sorted(wanted.keys() - weights.keys() - counters)
    unknown = sorted(weights.keys() - wanted.keys())
    if missing or unknown:
        lacks = f"it lacks {missing[0]!r} ({len(missing)} in all)" if missing else ""
        has = f"it has {unknown[0]!r} ({len(unknown)} in all)" if unknown else ""
        told = " and ".join(filter(None, (lacks, has)))
        raise CheckpointError(
            path,
            f"not the weights of {architecture}: {told}; expected the state_dict of "
            f"{_whose(architecture)}",
        )
    for name, tensor in weights.items():
        _check_tensor(path, architecture, num_classes, name, tensor, wanted[name])
    return weights


def _whose(architecture: str) -> str:
    if architecture not in ARCHITECTURES:
        return f"{architecture}, as torch.save(model.state_dict(), FILE) writes it"
    return (
        f"kdsweep's {architecture}, such as torch.save(model.state_dict(), FILE) of RepDistiller's"
    )


def _check_tensor(
    path: Path, architecture: str, num_classes: int, name: str, tensor: Tensor, wanted: Tensor
) -> None:
    actual, expected = tuple(tensor.shape), tuple(wanted.shape)
    if actual != expected:
        if actual[1:] == expected[1:] and expected[:1] == (num_classes,):
            raise CheckpointError(path, f"made for {actual[0]} classes, not {num_classes}")
        raise CheckpointError(
            path, f"not the weights of {architecture}: {name} is {actual}, expected {expected}"
        )
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise CheckpointError(path, f"{name} is no plain tensor; {HOW_TO_SAVE}")
    if wanted.is_floating_point() != tensor.is_floating_point():
        raise CheckpointError(path, f"{name} is of {tensor.dtype}, expected {wanted.dtype}")
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(path, f"{name} has values that are not finite: NaN or infinity")


class Facts(NamedTuple):
    """What a file says of its teacher; `accuracy` is a share."""

    num_classes: int
    accuracy: float | None


ACCURACIES = ("accuracy", "best_acc", "best_accuracy", "acc", "acc1", "best_acc1", "top1")
"""Under which files keep an accuracy, most often in percent."""


def facts_of(path: Path, architecture: str) -> Facts:
    """What a checkpoint of an architecture says of itself.

    Raises:
        CheckpointError: as `read_published`.
    """
    try:
        content = _content(path, path.read_bytes())
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror or error}") from error
    # The last matrix is that of the classes, whatever the layer is called.
    matrices = [t for t in _state_dict(content, ()).values() if t.dim() == 2]
    num_classes = len(matrices[-1]) if matrices else 1
    wanted = _wanted(architecture, num_classes, None, USUAL_SIZE)
    _checked(path, content, architecture, num_classes, wanted)
    return Facts(num_classes, _accuracy(content))


def _accuracy(content: Any) -> float | None:
    if not isinstance(content, Mapping):
        return None
    for value in (content[key] for key in ACCURACIES if key in content):
        try:
            accuracy = float(value)
        except (TypeError, ValueError, RuntimeError):
            continue
        share = accuracy / 100 if accuracy > 1 else accuracy
        if 0 <= share <= 1:
            return share
    return None
