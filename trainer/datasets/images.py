"""Image files, decoded by Pillow."""

import io
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from trainer.datasets.errors import DataError

ENDINGS = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
)


def decode(raw: bytes, path: PurePath | str, size: int | None = None) -> NDArray[np.uint8]:
    """uint8 [3, S, S]; grey becomes three equal channels.

    With `size`, the largest centred square is cut out and resized (bicubic, antialiased).

    Raises:
        DataError: not an image, or a damaged one.
    """
    try:
        with Image.open(io.BytesIO(raw)) as image:
            colours = image.convert("RGB")
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not a readable image") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image: {error}") from error
    if size is not None:
        colours = ImageOps.fit(colours, (size, size), method=Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(colours).transpose(2, 0, 1))
