"""Images in Parquet files, as the Hugging Face hub has them: encoded, with their labels.

    train*.parquet                              in one file or several shards, in order of name, here or in data/
    test*.parquet, or else validation*.parquet

A column `image` (or `img`) has the bytes of an image file, as they are or in a struct's field `bytes`; a column
`label` (`labels`, `fine_label`) the number of its class. What the classes are called is in the metadata that the hub's
library writes; without it they have their numbers. A row group is read at a time, so that of the encoded
images no more than one lies in memory.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer.datasets.arrays import Arrays, Half, checked
from trainer.datasets.errors import DataError
from trainer.datasets.images import decode
from trainer.datasets.memory import check_fits, check_images_fit

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
TEST_HALVES = ("test", "validation")
ENDING = ".parquet"
AT_ONCE = 64
LARGEST_IMAGE_BYTES = 64 * 2**20
LARGEST_GROUP_BYTES = 4 * 2**30
"""Of a row group, encoded: the hub's have a hundred megabytes."""

MOST_CLASSES = 100_000
BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)
"""What damaged files have been seen to raise."""


class _Shard(NamedTuple):
    """An opened file, and the columns that are read."""

    path: Path
    file: pq.ParquetFile
    image: str
    label: str

    @property
    def num_rows(self) -> int:
        return int(self.file.metadata.num_rows)


def read(folder: Path, image_size: int) -> Arrays:
    """Decode all images, each cut to its centred square and resized to `image_size`, in order of file and row.

    Raises:
        DataError: files are missing, damaged or of another form, an image is unreadable, or it does not fit in memory.
    """
    train = _shards(folder, ("train",))
    test = _shards(folder, TEST_HALVES)
    names = _class_names(train[0])
    check_images_fit(sum(shard.num_rows for shard in (*train, *test)), image_size, folder)
    halves = [_half(shards, names, image_size) for shards in (train, test)]
    if names is None:
        names = tuple(map(str, range(1 + max(int(half.labels.max()) for half in halves))))
    return checked(Arrays(names, *halves), folder)


def _shards(folder: Path, halves: Sequence[str]) -> list[_Shard]:
    for half in halves:
        for place in (folder, folder / "data"):
            if paths := sorted(path for path in place.glob(f"{half}*{ENDING}") if path.is_file()):
                shards = [_opened(path) for path in paths]
                if not sum(shard.num_rows for shard in shards):
                    raise DataError(f"{paths[0]}: no rows")
                return shards
    expected = " or ".join(f"{half}*{ENDING}" for half in halves)
    raise DataError(f"{folder}: no file {expected}, here or in data/")


def _opened(path: Path) -> _Shard:
    try:
        file = pq.ParquetFile(path)
    except BROKEN as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error
    schema = file.schema_arrow
    image, label = (_column(path, schema, names) for names in (IMAGE_COLUMNS, LABEL_COLUMNS))
    kind = schema.field(image).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not _is_binary(kind):
        raise DataError(
            f"{path}: the column {image!r} is {kind}; expected the bytes of image files, or a struct that has them"
        )
    if not pa.types.is_integer(schema.field(label).type):
        raise DataError(
            f"{path}: the column {label!r} is {schema.field(label).type}; expected numbers of classes"
        )
    return _Shard(path, file, image, label)


def _is_binary(kind: pa.DataType) -> bool:
    return kind in (pa.binary(), pa.large_binary(), pa.binary_view())


def _column(path: Path, schema: pa.Schema, names: Sequence[str]) -> str:
    found = [name for name in names if name in schema.names]
    if not found:
        raise DataError(
            f"{path}: no column {' or '.join(names)}; it has {', '.join(map(str, schema.names))}"
        )
    return found[0]


def _class_names(shard: _Shard) -> tuple[str, ...] | None:
    """As the hub's library writes them beside the columns; None where it has not."""
    written = (shard.file.schema_arrow.metadata or {}).get(b"huggingface")
    if written is None:
        return None
    try:
        names = json.loads(written)["info"]["features"][shard.label]["names"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def _half(shards: Sequence[_Shard], names: tuple[str, ...] | None, size: int) -> Half:
    count = sum(shard.num_rows for shard in shards)
    images = np.empty((count, 3, size, size), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    most = MOST_CLASSES if names is None else len(names)
    for index, (where, raw, label) in enumerate(_rows(shards)):
        if raw is None:
            raise DataError(f"{where}: no bytes of an image; a path alone is not followed")
        if len(raw) > LARGEST_IMAGE_BYTES:
            raise DataError(
                f"{where}: {len(raw):,} bytes; up to {LARGEST_IMAGE_BYTES:,} are decoded"
            )
        if label is None or not 0 <= label < most:
            told = "no label" if label is None else f"the label {label}"
            raise DataError(f"{where}: {told}; expected one of 0 to {most - 1}")
        images[index] = decode(raw, where, size)
        labels[index] = label
    return Half(images, labels)


def _rows(shards: Sequence[_Shard]) -> Iterator[tuple[str, bytes | None, int | None]]:
    """Place, bytes and label of each row."""
    for shard in shards:
        number = 0
        for group in range(shard.file.num_row_groups):
            _check_group(shard, group)
            for batch in _batches(shard, group, number):
                image, label = batch.column(shard.image), batch.column(shard.label)
                if pa.types.is_struct(image.type):
                    image = image.flatten()[image.type.get_field_index("bytes")]
                for raw, of_row in zip(image, label.to_pylist(), strict=True):
                    number += 1
                    yield f"{shard.path}: row {number}", raw.as_py(), of_row


def _batches(shard: _Shard, group: int, number: int) -> Iterator[Any]:
    columns = [shard.image, shard.label]
    try:
        yield from shard.file.iter_batches(AT_ONCE, [group], columns, use_threads=False)
    except BROKEN as error:
        raise DataError(f"{shard.path}: damaged behind row {number}: {error}") from error


def _check_group(shard: _Shard, group: int) -> None:
    size = int(shard.file.metadata.row_group(group).total_byte_size)
    if size > LARGEST_GROUP_BYTES:
        raise DataError(
            f"{shard.path}: a row group of {size:,} bytes; up to {LARGEST_GROUP_BYTES:,} are read: "
            "write it in smaller ones"
        )
    check_fits(size, f"{shard.path}, row group {group + 1}")
