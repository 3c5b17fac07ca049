"""Small data sets in the true formats, written from scratch."""

import gzip
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image


def pictures(count: int, classes: int, size: int, seed: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Images whose colour tells their class, a little noisy: uint8 [N, 3, S, S] and labels."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).tolist()
    colours = np.random.default_rng(0).integers(30, 226, (classes, 3, 1, 1))
    noise = rng.integers(-30, 31, (count, 3, size, size))
    return (colours[labels] + noise).astype(np.uint8), labels


def write_cifar100(
    folder: Path, classes: int = 4, train: int = 40, test: int = 20, size: int = 32
) -> Path:
    """`train`, `test` and `meta`, pickled as the official ones are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count, seed in (("train", train, 1), ("test", test, 2)):
        images, labels = pictures(count, classes, size, seed)
        content = {
            b"data": images.reshape(count, -1),
            b"fine_labels": labels,
            b"coarse_labels": [0] * count,
            b"filenames": [b"x.png"] * count,
            b"batch_label": b"made by a test",
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    names = {b"fine_label_names": [f"class {i}".encode() for i in range(classes)]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))
    return folder


def write_cifar10(folder: Path, classes: int = 4) -> Path:
    """Five batches of 8, a test batch of 8."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        images, labels = pictures(8, classes, 32, seed)
        content = {"data": images.reshape(8, -1), "labels": labels}
        (folder / name).write_bytes(pickle.dumps(content))
    names = [f"class {i}" for i in range(classes)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    return folder


def write_idx(folder: Path, packed: bool = True) -> Path:
    """Fashion-MNIST's four files, of 40 + 20 grey images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", 40), ("t10k", 20)):
        images, labels = pictures(count, 10, 28, count)
        header = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28)
        write_file(folder / f"{name}-images-idx3-ubyte", header + images[:, 0].tobytes(), packed)
        header = struct.pack(">4BI", 0, 0, 8, 1, count)
        write_file(folder / f"{name}-labels-idx1-ubyte", header + bytes(labels), packed)
    return folder


def write_file(path: Path, content: bytes, packed: bool) -> None:
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def save_image(path: Path, pixels: NDArray[np.uint8], grey: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.transpose(1, 2, 0))
    (image.convert("L") if grey else image).save(path)


def write_tiny_imagenet(folder: Path, classes: int = 3, each: int = 6) -> Path:
    """Tiny ImageNet's folders; the first image of each class is grey."""
    wnids = [f"n{i:08d}" for i in range(classes)]
    for half, seed in (("train", 1), ("val", 2)):
        images, labels = pictures(each * classes, classes, 64, seed)
        lines = []
        for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            if half == "train":
                path = folder / "train" / wnids[label] / "images" / f"{wnids[label]}_{index}.JPEG"
            else:
                path = folder / "val" / "images" / f"val_{index}.JPEG"
                lines.append(f"{path.name}\t{wnids[label]}\t0\t0\t62\t62\n")
            save_image(path, pixels, grey=index < classes)
        if lines:
            (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (folder / "words.txt").write_text("".join(f"{w}\ta thing\n" for w in wnids))
    return folder


def zipped(folder: Path, path: Path) -> Path:
    """The folder as a zip file with it as the single top folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{folder.name}/{file.relative_to(folder)}")
    return path


def write_image_folder(folder: Path, classes: int = 3, each: int = 6, test: str = "test") -> Path:
    """Images of different sizes and kinds, in a folder per class."""
    for half, seed in (("train", 1), (test, 2)):
        images, labels = pictures(each * classes, classes, 40, seed)
        for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            ending = ("png", "jpg", "bmp")[index % 3]
            path = folder / half / f"kind {label}" / f"{index}.{ending}"
            save_image(path, pixels[:, : 24 + index % 7, :30])
    return folder


def encoded(pixels: NDArray[np.uint8], form: str = "png") -> bytes:
    """An image file's bytes, of uint8 [3, H, W]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, form)
    return buffer.getvalue()


def hub_table(images: list[bytes | None], labels: list[int], names: list[str] | None) -> pa.Table:
    """As the Hugging Face hub has encoded images: a struct of bytes and path, and what the classes are called."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    rows = [{"bytes": raw, "path": f"{i}.png"} for i, raw in enumerate(images)]
    table = pa.table({"image": pa.array(rows, kind), "label": pa.array(labels, pa.int64())})
    if names is None:
        return table
    label = {"names": names, "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label}
    written = json.dumps({"info": {"features": features}})
    return table.replace_schema_metadata({"huggingface": written})


def write_parquet(
    folder: Path, classes: int = 3, each: int = 6, test: str = "test", place: str = "data"
) -> Path:
    """Two shards of training images in row groups of 4, one of test images; images of different sizes and kinds."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    names = [f"kind {i}" for i in range(classes)]
    for half, seed, shards in (("train", 1, 2), (test, 2, 1)):
        pixels, labels = pictures(each * classes, classes, 40, seed)
        images: list[bytes | None] = [
            encoded(pixels[i][:, : 24 + i % 7, :30], ("png", "jpeg", "bmp")[i % 3])
            for i in range(len(labels))
        ]
        for shard in range(shards):
            mine = slice(shard * len(labels) // shards, (shard + 1) * len(labels) // shards)
            name = f"{half}-{shard:05d}-of-{shards:05d}.parquet"
            table = hub_table(images[mine], labels[mine], names)
            pq.write_table(table, folder / place / name, row_group_size=4)
    return folder
