"""Every mode and container that Pillow opens is converted by the stated rule, or refused by name."""

import io
import os
import pickle
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image

from orchestrator.language.sweep import load_sweep
from orchestrator.planning.plan import make_plan
from orchestrator.store.store import Store
from tests.orchestrator.sweeps import write_sweep
from tests.trainer import data_files
from trainer.datasets.arrays import content_checksum
from trainer.datasets.errors import DataError
from trainer.datasets.images import decode
from trainer.datasets.own_images import identify, read_own

SIZE = 16


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "cache"))


def png(values: NDArray[Any], colour_type: int, depth: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG written without Pillow."""
    big = values.astype(">u2") if depth == 16 else values.astype(np.uint8)
    lines = b"".join(b"\0" + row.tobytes() for row in big)
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    width, height = values.shape[1] // channels, values.shape[0]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    told = (
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(told)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def ramp(channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(channels).integers(0, 256, (SIZE, SIZE, channels), dtype=np.uint8)


GREY_16 = np.linspace(0, 65535, SIZE * SIZE).round().astype(np.int64).reshape(SIZE, SIZE)


def test_sixteen_bits_of_grey_are_scaled_to_eight() -> None:
    """Neither clipped nor wrapped: a ramp of 256 levels stays one."""
    expected = np.rint(GREY_16 / 257).astype(np.uint8)
    assert len(np.unique(expected)) == 256
    pgm = b"P5 16 16 65535\n" + GREY_16.astype(">u2").tobytes()
    tiff = saved(Image.fromarray(GREY_16.astype(np.uint16)), "TIFF")
    for raw in (png(GREY_16, 0, 16), pgm, tiff):
        image = decode(raw, "x")
        assert image.shape == (3, SIZE, SIZE)
        for channel in image:
            assert np.array_equal(channel, expected)
    other = independent(png(GREY_16, 0, 16), "UNCHANGED")
    assert np.array_equal(np.rint(other[0] / 257), expected)


def independent(raw: bytes, mode: str = "RGB") -> NDArray[Any]:
    """By torchvision's own decoders."""
    content = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        wanted = getattr(torchvision.io.ImageReadMode, mode)
        decoded: NDArray[Any] = torchvision.io.decode_image(content, wanted).numpy()
    return decoded


GREY, ALPHA = ramp(1)[..., 0], np.full((SIZE, SIZE, 1), 255, dtype=np.uint8)
PALETTE = Image.fromarray(ramp()).quantize(64)
AS_OTHERS_DECODE: dict[str, bytes] = {
    "grey": png(GREY, 0, 8),
    "colour": png(ramp().reshape(SIZE, -1), 2, 8),
    "16-bit colour": png(ramp().reshape(SIZE, -1).astype(np.uint16) * 257, 2, 16),
    "opaque": png(np.concatenate([ramp(), ALPHA], axis=2).reshape(SIZE, -1), 6, 8),
    "opaque grey": png(np.stack([GREY, ALPHA[..., 0]], axis=2).reshape(SIZE, -1), 4, 8),
    "palette": saved(PALETTE, "PNG"),
    "gif": saved(PALETTE, "GIF"),
    "1 bit": saved(Image.fromarray(GREY > 100), "PNG"),
    "jpeg": saved(Image.fromarray(ramp()), "JPEG", quality=95, subsampling=0),
    "grey jpeg": saved(Image.fromarray(GREY), "JPEG", quality=95),
    "webp": saved(Image.fromarray(ramp()), "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", AS_OTHERS_DECODE)
def test_an_independent_decoder_gives_the_same_values(name: str) -> None:
    raw = AS_OTHERS_DECODE[name]
    expected = independent(raw)
    if name == "16-bit colour":
        expected = expected >> 8
    difference = decode(raw, name).astype(int) - expected
    lossy = 2 if "jpeg" in name else 0
    assert abs(difference).max() <= lossy


@pytest.mark.parametrize("form", ["BMP", "TIFF", "PPM", "JPEG2000"])
def test_containers_without_loss_keep_every_value(form: str) -> None:
    raw = saved(Image.fromarray(ramp()), form)
    assert np.array_equal(decode(raw, "x"), ramp().transpose(2, 0, 1))


def test_cmyk_is_converted_without_a_profile() -> None:
    inks = np.zeros((SIZE, SIZE, 4), dtype=np.uint8)
    inks[..., 0], inks[..., 3] = 255, 51
    image = Image.frombuffer("CMYK", (SIZE, SIZE), inks.tobytes(), "raw", "CMYK", 0, 1)
    assert decode(saved(image, "TIFF"), "x")[:, 0, 0].tolist() == [0, 204, 204]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_is_applied(orientation: int) -> None:
    """Against numpy: what EXIF's tag says of rows and columns."""
    pixels = ramp()
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    raw = saved(Image.fromarray(pixels), "PNG", exif=exif)
    assert np.array_equal(decode(raw, "x"), turned.transpose(2, 0, 1))
    assert np.array_equal(decode(raw, "x", upright=False), pixels.transpose(2, 0, 1))


def frames(form: str, **options: Any) -> bytes:
    images = [Image.fromarray(np.full((SIZE, SIZE, 3), v, np.uint8)) for v in (0, 90, 200)]
    buffer = io.BytesIO()
    images[0].save(buffer, form, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


HALF_CLEAR = np.concatenate([ramp(), np.full((SIZE, SIZE, 1), 128, np.uint8)], axis=2)
REFUSED: dict[str, tuple[bytes, str]] = {
    "transparent": (png(HALF_CLEAR.reshape(SIZE, -1), 6, 8), "transparent in places"),
    "transparent grey": (
        png(np.stack([GREY, GREY], axis=2).reshape(SIZE, -1), 4, 8),
        "transparent in places",
    ),
    "transparent palette": (saved(PALETTE, "PNG", transparency=0), "transparent in places"),
    "transparent colour": (
        png(np.zeros((SIZE, SIZE * 3)), 2, 8, (b"tRNS", b"\0\0\0\0\0\0")),
        "transparent in places",
    ),
    "32-bit": (saved(Image.fromarray(GREY_16.astype(np.int32)), "TIFF"), "of the kind 'I'"),
    "float": (saved(Image.fromarray(GREY_16.astype(np.float32)), "TIFF"), "of the kind 'F'"),
    "lab": (saved(Image.new("LAB", (SIZE, SIZE)), "TIFF"), "of the kind 'LAB'"),
    "gif frames": (frames("GIF"), "3 frames"),
    "png frames": (frames("PNG"), "3 frames"),
    "tiff frames": (frames("TIFF"), "3 frames"),
    "webp frames": (frames("WEBP"), "3 frames"),
    "text": (b"hello", "not a readable image"),
    "nothing": (b"", "not a readable image"),
    "cut off": (AS_OTHERS_DECODE["colour"][:200], "not a readable image"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_a_choice_is_refused_by_name(name: str) -> None:
    raw, message = REFUSED[name]
    with pytest.raises(DataError, match=message) as raised:
        decode(raw, "images/cat.png")
    assert str(raised.value).startswith("images/cat.png: ")
    assert "\n" not in str(raised.value)


def test_of_a_camera_s_pictures_the_first_counts() -> None:
    raw = frames("MPO", quality=95)
    assert abs(decode(raw, "x").astype(int)).max() <= 2


# What counts


def test_hidden_and_foreign_files_are_skipped_and_counted_once(tmp_path: Path) -> None:
    folder = data_files.write_image_folder(tmp_path / "images")
    before = identify("imagefolder", folder, SIZE)
    assert before.num_ignored == 0
    for half in ("train", "test"):
        for hidden in (".ipynb_checkpoints", "__MACOSX"):
            shutil.copytree(folder / half / "kind 0", folder / half / hidden)
        for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / half / "kind 1" / name).write_bytes(b"x")
    again = identify("imagefolder", folder, SIZE)
    assert again == before, "hidden names change nothing and are not worth a word"
    (folder / "train" / "kind 1" / "notes.txt").write_text("x")
    (folder / "train" / "kind 1" / "more").mkdir()
    told = identify("imagefolder", folder, SIZE)
    assert (told.checksum, told.num_ignored) == (before.checksum, 2)
    assert told.ignored.endswith("kind 1/more")
    sweep = write_sweep(
        tmp_path,
        stddev={"epochs": 20},
        dataset={
            "name": "own",
            "path": str(folder),
            "format": "imagefolder",
            "image_size": SIZE,
        },
    )
    plan = make_plan(load_sweep(sweep), Store(tmp_path / "store"), retry_failed=False)
    (line,) = (line for line in plan.warnings if "ignored" in line)
    assert line.startswith(f"{folder}: 2 files are ignored, being no image by its name: ")


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPG", "pnm", "dib", "jp2"])
def test_every_usual_ending_counts(ending: str, tmp_path: Path) -> None:
    folder = data_files.write_image_folder(tmp_path / "images")
    before = identify("imagefolder", folder, SIZE)
    shutil.copy(folder / "train" / "kind 0" / "0.png", folder / "train" / "kind 0" / f"z.{ending}")
    after = identify("imagefolder", folder, SIZE)
    assert (after.train_images, after.num_ignored) == (before.train_images + 1, 0)


def test_tiny_imagenet_of_one_s_own_reads_other_endings(tmp_path: Path) -> None:
    folder = data_files.write_tiny_imagenet(tmp_path / "images")
    before = identify("tinyimagenet", folder, None)
    path = next((folder / "train").rglob("*.JPEG"))
    path.rename(path.with_suffix(".jpg"))
    (path.parent / ".DS_Store").write_bytes(b"x")
    (path.parent / "list.csv").write_bytes(b"x")
    after = identify("tinyimagenet", folder, None)
    assert after.train_images == before.train_images
    assert (after.num_ignored, after.ignored) == (1, str(path.parent / "list.csv"))


# What a cache believes


def test_a_file_rewritten_with_equal_size_and_times_is_seen(tmp_path: Path) -> None:
    """As `cp -p` and layers of container images leave them."""
    folder = data_files.write_image_folder(tmp_path / "images")
    path = next((folder / "train").rglob("*.bmp"))
    before, status = identify("imagefolder", folder, SIZE), path.stat()
    content = bytearray(path.read_bytes())
    content[-40:] = bytes(255 - value for value in content[-40:])
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert identify("imagefolder", folder, SIZE).checksum != before.checksum


def test_the_identity_of_equal_pixels_is_that_of_older_versions(tmp_path: Path) -> None:
    """Decoding has changed for some files; what decodes as before keeps its name, and so its results."""
    folder = data_files.write_image_folder(tmp_path / "images")
    arrays = read_own("imagefolder", folder, SIZE)
    assert identify("imagefolder", folder, SIZE).checksum == content_checksum(arrays, "1")


# Home-made pickles


@pytest.mark.parametrize(
    "kind", [np.int64, np.uint8, np.int32, np.asarray], ids=["i8", "u1", "i4", "0-d"]
)
def test_labels_may_be_integers_of_numpy(kind: Callable[[int], Any], tmp_path: Path) -> None:
    folder = data_files.write_cifar10(tmp_path / "images")
    before = identify("cifar10", folder, None)
    for path in (*folder.glob("data_batch_*"), folder / "test_batch"):
        content = pickle.loads(path.read_bytes())
        content["labels"] = [kind(label) for label in content["labels"]]
        path.write_bytes(pickle.dumps(content, protocol=2))
    assert identify("cifar10", folder, None).checksum == before.checksum


def test_class_names_in_another_encoding_are_read(tmp_path: Path) -> None:
    folder = data_files.write_cifar10(tmp_path / "images")
    content = pickle.loads((folder / "batches.meta").read_bytes())
    content["label_names"][0] = "véhicule".encode("latin-1")
    content["label_names"][1] = "bâteau".encode()
    (folder / "batches.meta").write_bytes(pickle.dumps(content))
    names = read_own("cifar10", folder, None).class_names
    assert names[:2] == ("véhicule", "bâteau")
