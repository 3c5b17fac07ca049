"""Cut `fashion_mini.npz` from the original Fashion-MNIST files.

    python -m trainer.datasets.make_fashion_mini FOLDER_WITH_IDX_GZ_FILES

The four files (Debian packages them as `dataset-fashion-mnist`) are read, the first 600 training and
the first 200 test images of every class are kept in file order, and each 28x28 image is averaged over
area down to 16x16. Nothing is drawn at random and no date is written, so one version of zlib writes the
same bytes every time; the SHA-256 of the file that ships is in the catalog.
"""

import gzip
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRAIN_PER_CLASS = 600
TEST_PER_CLASS = 200
SIZE = 16
TARGET = Path(__file__).with_name("fashion_mini.npz")

Bytes = NDArray[np.uint8]


def read_idx(path: Path) -> Bytes:
    """The array in a gzipped IDX file: a big-endian header (rank in its fourth byte), then bytes."""
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">i4", count=rank, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def area_weights(source: int, target: int) -> NDArray[np.float64]:
    """The [target, source] matrix whose rows average the source pixels that each target pixel covers."""
    edges = np.arange(target + 1) * source / target
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: NDArray[np.float64] = np.clip(overlap, 0, None) * target / source
    return weights


def shrink(images: Bytes) -> Bytes:
    """Area-average [N, 28, 28] images to [N, 16, 16], rounded to the nearest byte."""
    weights = area_weights(images.shape[-1], SIZE)
    return np.rint(weights @ images.astype(np.float64) @ weights.T).astype(np.uint8)


def balanced(labels: Bytes, per_class: int) -> NDArray[np.intp]:
    """Indices of the first `per_class` examples of every class, in file order."""
    return np.sort(
        np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in np.unique(labels)])
    )


def write_npz(path: Path, arrays: dict[str, Bytes]) -> None:
    """Write a compressed npz whose bytes do not depend on the clock, as `np.savez` does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue())


def main(folder: Path) -> None:
    arrays = {}
    for part, prefix, per_class in (
        ("train", "train", TRAIN_PER_CLASS),
        ("test", "t10k", TEST_PER_CLASS),
    ):
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        kept = balanced(labels, per_class)
        arrays[f"{part}_images"] = shrink(images[kept])
        arrays[f"{part}_labels"] = labels[kept]
    write_npz(TARGET, arrays)
    train = arrays["train_images"] / 255
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
    print(f"sha256 {hashlib.sha256(TARGET.read_bytes()).hexdigest()}")
    print(f"training mean {train.mean():.4f}, std {train.std():.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
