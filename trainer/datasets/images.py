"""Image files, decoded by Pillow under one rule.

| the file has | it becomes |
|---|---|
| 8-bit grey, RGB, a palette, 1 bit, YCbCr | RGB as Pillow converts it; grey becomes three equal channels |
| 16-bit grey | 8 bits: value / 257, rounded to the nearest |
| 16-bit colour | its upper 8 bits, which is all that Pillow gives |
| CMYK | RGB as Pillow converts it, without a colour profile |
| an alpha channel that is opaque everywhere | RGB without it |
| an orientation in its EXIF data | turned upright, but for data in an official layout |
| several pictures of one motif (MPO of cameras) | the first |
| transparency, 32-bit or float pixels, LAB, several frames | refused by name: it would be a choice |
"""

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from trainer.datasets.errors import DataError

ENDINGS = frozenset(
    {
        *(
            ".avif",
            ".bmp",
            ".dib",
            ".gif",
            ".jfif",
            ".jp2",
            ".jpe",
            ".jpeg",
            ".jpg",
            ".pbm",
            ".pgm",
        ),
        *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    }
)

NOT_OURS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
"""What operating systems leave beside images, besides hidden files."""

ORIENTATION = 0x0112
"""EXIF's tag."""

SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
WITH_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
CONVERTED = ("1", "L", "P", "RGB", "RGBX", "YCbCr", "CMYK")
MOST_PIXELS = 89_478_485
"""Of one image: from here on Pillow takes a file for a decompression bomb."""

SIXTEEN_IN_32 = ("PNG", "PPM")
"""Formats whose 16-bit grey some versions of Pillow open in a mode of 32 bits."""


def is_foreign(name: str) -> bool:
    """Whether a name is hidden, or of something that an operating system leaves."""
    return name.startswith(".") or name.lower() in NOT_OURS


@dataclass(frozen=True)
class Ignored:
    """Files that lie where images are expected, and are none: how many, and one of them."""

    count: int = 0
    example: str = ""

    @classmethod
    def of(cls, paths: Iterable[object]) -> "Ignored":
        named = sorted(map(str, paths))
        return cls(len(named), named[0]) if named else cls()

    def __add__(self, other: "Ignored") -> "Ignored":
        return Ignored(self.count + other.count, self.example or other.example)


def decode(
    raw: bytes, path: PurePath | str, size: int | None = None, *, upright: bool = True
) -> NDArray[np.uint8]:
    """uint8 [3, S, S], by the rule above.

    With `size`, the largest centred square is cut out and resized (bicubic, antialiased). `upright`: an
    orientation in EXIF data is applied.

    Raises:
        DataError: not an image, a damaged one, or one that the rule refuses.
    """
    try:
        with _opened(raw) as image:
            _refuse_bomb(image, path)
            colours = _colours(image, path)
            if upright:
                colours = _upright(image, colours)
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not a readable image") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image: {error}") from error
    if size is not None:
        colours = ImageOps.fit(colours, (size, size), method=Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(colours).transpose(2, 0, 1))


def _opened(raw: bytes) -> Image.Image:
    with warnings.catch_warnings():
        # What Pillow warns of from `MOST_PIXELS` on is refused.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(raw))


def _refuse_bomb(image: Image.Image, path: PurePath | str) -> None:
    """Nothing is decoded yet: the size is what the file's header says."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{path}: {width}x{height} pixels; up to {MOST_PIXELS:,} in all are decoded"
        )


def _colours(image: Image.Image, path: PurePath | str) -> Image.Image:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise DataError(
            f"{path}: {frames} frames; save the one that is meant as an image of its own"
        )
    mode = image.mode
    if mode in SIXTEEN_BITS or (mode == "I" and image.format in SIXTEEN_IN_32):
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if mode in WITH_ALPHA or (mode in CONVERTED and "transparency" in image.info):
        whole = image.convert("RGBA")
        if whole.getchannel("A").getextrema() != (255, 255):
            raise DataError(
                f"{path}: transparent in places; save it on the background that is meant"
            )
        return whole.convert("RGB")
    if mode not in CONVERTED:
        raise DataError(
            f"{path}: pixels of the kind {mode!r}; expected 8 or 16 bits, grey or in colour: "
            "save it as the 8-bit image that is meant"
        )
    return image.convert("RGB")


def _upright(image: Image.Image, colours: Image.Image) -> Image.Image:
    """Turned as the file's EXIF data say, which a conversion may have lost."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    turn = turns.get(image.getexif().get(ORIENTATION, 1))
    return colours if turn is None else colours.transpose(turn)
