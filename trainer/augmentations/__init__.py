"""The nine augmentation schemes and the standard augmentation before them.

`NAMES` are the schemes in the paper's order. All act on a `Batch`: already cropped and flipped per image.
`POOL_RUNS` independent CutMix runs make the pool of both picks; the first of them is cutmix's own draw.
"""

from collections.abc import Mapping

from trainer.augmentations.batch import Batch
from trainer.augmentations.palette import Palette
from trainer.augmentations.picking import entropy, pick
from trainer.augmentations.schemes import (
    CropFlip,
    CutMix,
    Cutout,
    Flip,
    Identity,
    Mixup,
    PolicyDecision,
    Scheme,
)
from trainer.augmentations.standard import CropsAndFlips
from trainer.catalog import AUGMENTATIONS as NAMES

POOL_RUNS = 2

SCHEMES: Mapping[str, type[Scheme]] = {
    "identity": Identity,
    "flip": Flip,
    "crop+flip": CropFlip,
    "cutout": Cutout,
    "autoaugment": PolicyDecision,
    "mixup": Mixup,
    "cutmix": CutMix,
}
"""The schemes that are one decision; the picks choose among CutMix runs."""

__all__ = [
    "NAMES",
    "POOL_RUNS",
    "SCHEMES",
    "Batch",
    "CropsAndFlips",
    "Palette",
    "Scheme",
    "entropy",
    "pick",
]
