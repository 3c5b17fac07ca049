"""The nine augmentation schemes and the standard augmentation before them.

`NAMES` are the schemes in the paper's order. All act on a `Batch`: already cropped and flipped per image.
Independent runs of a scheme make the pool that a pick chooses from; the first is the scheme's own draw.
"""

from collections.abc import Mapping

from trainer.augmentations.batch import Batch
from trainer.augmentations.palette import Palette
from trainer.augmentations.per_image import (
    CropFlipEach,
    CutMixEach,
    CutoutEach,
    FlipEach,
    MixupEach,
    PolicyEach,
)
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

SCHEMES: Mapping[str, type[Scheme]] = {
    "identity": Identity,
    "flip": Flip,
    "crop+flip": CropFlip,
    "cutout": Cutout,
    "autoaugment": PolicyDecision,
    "mixup": Mixup,
    "cutmix": CutMix,
}
"""The paper's: one decision for all images of a batch. The picks choose among runs of these."""

PER_IMAGE_SCHEMES: Mapping[str, type[Scheme]] = {
    "flip": FlipEach,
    "crop+flip": CropFlipEach,
    "cutout": CutoutEach,
    "autoaugment": PolicyEach,
    "mixup": MixupEach,
    "cutmix": CutMixEach,
}
"""The same with a decision for each image; identity decides nothing."""

__all__ = [
    "NAMES",
    "PER_IMAGE_SCHEMES",
    "SCHEMES",
    "Batch",
    "CropsAndFlips",
    "Palette",
    "Scheme",
    "entropy",
    "pick",
]
