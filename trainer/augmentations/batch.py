"""A batch as the schemes see it: after the standard augmentation, as bytes and normalised."""

from functools import cached_property

from torch import Tensor

from trainer.augmentations.palette import Palette


class Batch:
    """`bytes` uint8 [B, 3, S, S], `images` the same normalised, `labels` int64 [B]."""

    def __init__(self, images: Tensor, labels: Tensor, palette: Palette) -> None:
        self.bytes = images
        self.labels = labels
        self.palette = palette

    def __len__(self) -> int:
        return len(self.bytes)

    @property
    def image_size(self) -> int:
        return int(self.bytes.shape[-1])

    @cached_property
    def images(self) -> Tensor:
        return self.palette.normalise(self.bytes)

    @cached_property
    def round_tripped(self) -> Tensor:
        """The bytes after the paper's float-and-back, which the geometric schemes start from."""
        return self.palette.round_trip(self.bytes)
