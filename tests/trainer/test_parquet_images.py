"""Encoded images in Parquet files: what is read of them, and what is refused by file and row."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trainer import data_files
from trainer.datasets import parquet_images
from trainer.datasets.errors import DataError
from trainer.datasets.images import decode
from trainer.datasets.own_images import identify, read_own

RED = np.zeros((3, 12, 12), dtype=np.uint8)
RED[0] = 255
BLUE = RED[::-1].copy()
IMAGES: list[bytes | None] = [data_files.encoded(RED), data_files.encoded(BLUE)]


def write(folder: Path, train: pa.Table, test: pa.Table | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(train, folder / "train.parquet")
    pq.write_table(train if test is None else test, folder / "test.parquet")
    return folder


def table(images: list[bytes | None] = IMAGES, labels: list[int] | None = None) -> pa.Table:
    return data_files.hub_table(images, labels or [0, 1], None)


def test_they_are_the_images_of_the_same_image_folder(tmp_path: Path) -> None:
    """The same files in folders give the same pixels, in another order."""
    arrays = read_own("parquet", data_files.write_parquet(tmp_path / "hub"), 16)
    folders = read_own("imagefolder", _as_folders(tmp_path / "hub", tmp_path / "folders"), 16)
    assert arrays.class_names == folders.class_names == ("kind 0", "kind 1", "kind 2")
    for half, other in ((arrays.train, folders.train), (arrays.test, folders.test)):
        order = np.argsort(half.labels, kind="stable")
        assert (half.images[order] == other.images).all()
        assert (half.labels[order] == other.labels).all()


def _as_folders(hub: Path, folders: Path) -> Path:
    for half in ("train", "test"):
        tables = [pq.read_table(path) for path in sorted((hub / "data").glob(f"{half}*"))]
        for index, row in enumerate(pa.concat_tables(tables).to_pylist()):
            path = folders / half / f"kind {row['label']}" / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(row["image"]["bytes"])
    return folders


def test_row_groups_and_shards_change_nothing(tmp_path: Path) -> None:
    hub = data_files.write_parquet(tmp_path / "hub")
    whole = tmp_path / "whole"
    whole.mkdir()
    for half in ("train", "test"):
        tables = [pq.read_table(path) for path in sorted((hub / "data").glob(f"{half}*"))]
        pq.write_table(pa.concat_tables(tables), whole / f"{half}.parquet", compression="zstd")
    assert identify("parquet", hub, 16) == identify("parquet", whole, 16)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
@pytest.mark.parametrize("label", [pa.int64(), pa.int32(), pa.uint8()])
def test_plain_bytes_and_any_whole_numbers_will_do(
    kind: pa.DataType, label: pa.DataType, tmp_path: Path
) -> None:
    plain = pa.table({"img": pa.array(IMAGES, kind), "fine_label": pa.array([0, 1], label)})
    arrays = read_own("parquet", write(tmp_path, plain), 8)
    assert arrays.class_names == ("0", "1")
    assert arrays.train.images[0, 0].min() == 255
    assert arrays.train.images[1, 2].min() == 255


def test_validation_stands_in_for_test(tmp_path: Path) -> None:
    folder = data_files.write_parquet(tmp_path / "hub", test="validation", place=".")
    assert len(read_own("parquet", folder, 16).test.labels) == 18


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (table([IMAGES[0], b"no image"]), r"train.parquet: row 2: not a readable image"),
        (table([IMAGES[0], IMAGES[1][:40] if IMAGES[1] else b""]), r"row 2: not a readable image"),
        (table([IMAGES[0], None]), "row 2: no bytes of an image; a path alone is not followed"),
        (table(labels=[0, -1]), "row 2: the label -1; expected one of 0 to"),
        (table(labels=[0, 2]), "the class '1' has no training image"),
        (table().drop_columns(["label"]), "no column label or labels or fine_label; it has image"),
        (table().drop_columns(["image"]), "no column image or img; it has label"),
        (
            pa.table({"image": ["a", "b"], "label": [0, 1]}),
            "the column 'image' is string; expected",
        ),
        (
            pa.table({"image": IMAGES, "label": [0.0, 1.0]}),
            "the column 'label' is double; expected",
        ),
        (table().slice(0, 0), "train.parquet: no rows"),
        (data_files.hub_table(IMAGES, [0, 5], ["a", "b"]), "row 2: the label 5; .* 0 to 1"),
    ],
)
def test_what_cannot_be_is_told_with_file_and_row(
    spoilt: pa.Table, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        read_own("parquet", write(tmp_path, spoilt, table()), 8)


def test_missing_and_damaged_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file train\*\.parquet, here or in data/"):
        read_own("parquet", tmp_path, 8)
    folder = write(tmp_path / "whole", table())
    (folder / "test.parquet").unlink()
    with pytest.raises(DataError, match=r"no file test\*\.parquet or validation\*\.parquet"):
        read_own("parquet", folder, 8)
    (folder / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"test\.parquet: not a readable Parquet file"):
        read_own("parquet", folder, 8)
    content = bytearray((folder / "train.parquet").read_bytes())
    content[4:60] = bytes(56)
    (folder / "train.parquet").write_bytes(content)
    write(tmp_path / "other", table())
    (tmp_path / "other" / "test.parquet").rename(folder / "test.parquet")
    with pytest.raises(DataError, match=r"train\.parquet: "):
        read_own("parquet", folder, 8)


def huge_png(width: int, height: int) -> bytes:
    """A few bytes that claim to be an image of this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content


@pytest.mark.parametrize(("width", "height"), [(10_000, 9_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(
    width: int, height: int, tmp_path: Path
) -> None:
    bomb = huge_png(width, height)
    with pytest.raises(DataError, match="row 2: "):
        read_own("parquet", write(tmp_path, table([IMAGES[0], bomb])), 8)
    with pytest.raises(DataError, match="pixels"):
        decode(bomb, "bomb.png")


def test_bounds_of_images_and_row_groups_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, table())
    for name, value, told in (
        ("LARGEST_IMAGE_BYTES", 10, r"row 1: \d+ bytes; up to 10 are decoded"),
        ("LARGEST_GROUP_BYTES", 10, r"a row group of \d+ bytes; up to 10 are read"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(parquet_images, name, value)
            with pytest.raises(DataError, match=told):
                read_own("parquet", folder, 8)
