"""Every format in its true form, and everything that can be wrong with it."""

import errno
import hashlib
import http.server
import multiprocessing
import os
import pickle
import signal
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from filelock import FileLock

from tests.trainer import data_files
from trainer.catalog import DATASETS
from trainer.datasets import official
from trainer.datasets.arrays import Arrays, Half, content_checksum
from trainer.datasets.cache import cache_root, cached
from trainer.datasets.dataset import load_dataset, pixel_statistics
from trainer.datasets.download import download
from trainer.datasets.errors import DataError
from trainer.datasets.official import ARCHIVES, read_official
from trainer.datasets.own_images import OwnImages, identify, listing, open_own, read_own
from trainer.trial import Data


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "cache"))


def own_data(folder: Path, form: str, image_size: int | None = None) -> Data:
    found = {
        k: v for k, v in vars(identify(form, folder, image_size)).items() if "ignored" not in k
    }
    return Data(name="own", format=form, path=str(folder), **found)


def is_empty_of_halves(root: Path) -> bool:
    """No temporary folder, no half-made entry."""
    entries = [p for p in (root / "data").glob("*") if p.is_dir()]
    return all((entry / "about.json").exists() for entry in entries)


# Official data


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_official_checksums_are_those_that_torchvision_knows(name: str) -> None:
    known = getattr(torchvision.datasets, name.upper())
    archive = ARCHIVES[name]
    assert (archive.file, archive.folder) == (known.filename, known.base_folder)
    assert (archive.url, archive.md5) == (known.url, known.tgz_md5)
    files = dict([*known.train_list, *known.test_list, [known.meta["filename"], known.meta["md5"]]])
    assert archive.members == files
    assert DATASETS[name].checksum == f"md5:{archive.md5}"


def test_fashion_mnist_s_checksums_are_those_that_torchvision_knows() -> None:
    assert dict(torchvision.datasets.FashionMNIST.resources) == official.FASHION_MD5
    digest = hashlib.sha256(b"".join(bytes.fromhex(v) for v in official.FASHION_SHA256.values()))
    assert DATASETS["fashion_mnist"].checksum == f"sha256:{digest.hexdigest()}"


@pytest.fixture
def small_official(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder, and a catalog in which small made-up archives are the official ones."""
    data = tmp_path / "data"
    data_files.write_cifar100(data / "cifar-100-python")
    data_files.write_tiny_imagenet(data / "tiny-imagenet-200")
    with tarfile.open(data / "cifar-100-python.tar.gz", "w:gz") as tar:
        tar.add(data / "cifar-100-python", "cifar-100-python")
    data_files.zipped(data / "tiny-imagenet-200", data / "tiny-imagenet-200.zip")
    archives, datasets = dict(ARCHIVES), dict(DATASETS)
    for name, counts in (("cifar100", (4, 32, 40, 20)), ("tinyimagenet", (3, 64, 18, 18))):
        archive, facts = archives[name], datasets[name]
        md5 = hashlib.md5((data / archive.file).read_bytes()).hexdigest()
        members = {
            file: hashlib.md5((data / archive.folder / file).read_bytes()).hexdigest()
            for file in archive.members
        }
        archives[name] = official.Archive(archive.file, archive.folder, archive.url, md5, members)
        datasets[name] = type(facts)(f"md5:{md5}", *counts, facts.mean, facts.std)
    for module in ("official", "source", "dataset"):
        monkeypatch.setattr(f"trainer.datasets.{module}.DATASETS", datasets)
    monkeypatch.setattr("trainer.trial.DATASETS", datasets)
    monkeypatch.setattr("trainer.datasets.official.ARCHIVES", archives)
    return data


@pytest.mark.parametrize("name", ["cifar100", "tinyimagenet"])
def test_official_data_come_from_the_folder_or_the_archive(name: str, small_official: Path) -> None:
    folder = small_official / ARCHIVES[name].folder
    from_folder = read_official(name, small_official)
    folder.rename(folder.with_name("elsewhere"))
    from_archive = read_official(name, small_official)
    assert content_checksum(from_folder, "") == content_checksum(from_archive, "")
    assert from_folder.class_names == from_archive.class_names
    dataset = load_dataset(Data.official(name), small_official)
    assert dataset.mean == DATASETS[name].mean
    assert dataset.train.images.shape[1:] == (3, dataset.image_size, dataset.image_size)
    assert not list(small_official.glob(".*"))


def test_cifar_s_pixels_are_where_they_belong(small_official: Path) -> None:
    images, labels = data_files.pictures(40, 4, 32, seed=1)
    dataset = load_dataset(Data.official("cifar100"), small_official)
    np.testing.assert_array_equal(dataset.train.images.numpy(), images)
    assert dataset.train.labels.tolist() == labels
    assert dataset.class_names == ("class 0", "class 1", "class 2", "class 3")


@pytest.mark.parametrize("file", ["train", "test", "meta"])
def test_a_changed_official_file_is_named(file: str, small_official: Path) -> None:
    path = small_official / "cifar-100-python" / file
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(
        DataError, match=rf"cifar-100-python/{file}: damaged, .* MD5 is .* expected"
    ):
        read_official("cifar100", small_official)
    with pytest.raises(DataError, match="format: cifar100, path: FOLDER"):
        load_dataset(Data.official("cifar100"), small_official)
    assert is_empty_of_halves(cache_root())


@pytest.mark.parametrize("name", ["cifar100", "tinyimagenet"])
def test_a_half_downloaded_archive_is_named(name: str, small_official: Path) -> None:
    archive = ARCHIVES[name]
    (small_official / archive.folder).rename(small_official / "elsewhere")
    path = small_official / archive.file
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        DataError, match=rf"{archive.file}: damaged, or half downloaded.* remove it"
    ):
        read_official(name, small_official)


def test_a_cut_down_folder_is_not_the_official_data(small_official: Path) -> None:
    next((small_official / "tiny-imagenet-200").rglob("val_3.JPEG")).unlink()
    with pytest.raises(DataError, match=r"not the official tinyimagenet: 18 \+ 17 images .* path:"):
        read_official("tinyimagenet", small_official)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "tinyimagenet", "fashion_mnist"])
def test_missing_data_that_cannot_be_downloaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request._opener", None)
    with pytest.raises(DataError) as caught:
        read_official(name, tmp_path / "none")
    message = str(caught.value)
    assert "could not be downloaded" in message
    assert "http" in message
    assert "(MD5 " in message
    assert str(tmp_path / "none") in message
    with pytest.raises(DataError, match="could not be downloaded"):
        read_official(name, tmp_path / "none")


class Server(http.server.SimpleHTTPRequestHandler):
    folder = ""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=self.folder)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web server on localhost: its address and its folder."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("urllib.request._opener", None)
    Server.folder = str(tmp_path / "served")
    (tmp_path / "served").mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", tmp_path / "served"
        server.shutdown()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_download_is_verified_before_it_appears(served: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = served
    (folder / "file.zip").write_bytes(b"content")
    target = tmp_path / "data" / "file.zip"
    with pytest.raises(DataError, match="could not be downloaded"):
        download(f"{address}/file.zip", target, "0" * 32)
    assert not (tmp_path / "data").exists()
    download(f"{address}/file.zip", target, hashlib.md5(b"content").hexdigest())
    assert target.read_bytes() == b"content"
    assert list((tmp_path / "data").iterdir()) == [target]


# One's own images

WRITERS: dict[str, tuple[Callable[[Path], Path], int | None]] = {
    "cifar100": (data_files.write_cifar100, None),
    "cifar10": (data_files.write_cifar10, None),
    "fashion_mnist": (data_files.write_idx, None),
    "tinyimagenet": (data_files.write_tiny_imagenet, None),
    "imagefolder": (data_files.write_image_folder, 20),
    "parquet": (data_files.write_parquet, 20),
}


@pytest.mark.parametrize("form", WRITERS)
def test_one_s_own_images_in_every_format(form: str, tmp_path: Path) -> None:
    write, size = WRITERS[form]
    folder = write(tmp_path / "images")
    data = own_data(folder, form, size)
    dataset = load_dataset(data)
    assert dataset.train.images.dtype == torch.uint8
    assert len(dataset.train.labels) == data.train_images
    assert (dataset.num_classes, dataset.image_size) == (data.num_classes, data.image_size)
    assert dataset.train.labels.bincount().min() > 0
    assert dataset.mean != (0.0,) * 3
    again = load_dataset(data)
    assert torch.equal(again.test.images, dataset.test.images)
    assert is_empty_of_halves(cache_root())


def test_plain_idx_files_are_the_same_data(tmp_path: Path) -> None:
    packed = own_data(data_files.write_idx(tmp_path / "gz"), "fashion_mnist")
    plain = own_data(data_files.write_idx(tmp_path / "plain", packed=False), "fashion_mnist")
    assert packed.checksum == plain.checksum


def test_an_image_folder_keeps_its_classes_and_cuts_squares(tmp_path: Path) -> None:
    folder = data_files.write_image_folder(tmp_path / "images", test="val")
    arrays = read_own("imagefolder", folder, 16)
    assert arrays.class_names == ("kind 0", "kind 1", "kind 2")
    assert arrays.train.images.shape == (18, 3, 16, 16)
    assert arrays.train.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    wide = np.zeros((3, 20, 60), dtype=np.uint8)
    wide[:, :, 20:40] = 255
    data_files.save_image(folder / "train" / "kind 0" / "0.png", wide)
    arrays = read_own("imagefolder", folder, 20)
    assert (arrays.train.images[0] == 255).all()


def test_the_identity_is_what_was_decoded(tmp_path: Path) -> None:
    folder = data_files.write_image_folder(tmp_path / "images")
    before = identify("imagefolder", folder, 16)
    assert identify("imagefolder", folder.rename(tmp_path / "moved"), 16) == before
    folder = tmp_path / "moved"
    assert identify("imagefolder", folder, 24).checksum != before.checksum
    red = np.zeros((3, 16, 16), dtype=np.uint8)
    data_files.save_image(folder / "train" / "kind 0" / "0.png", red)
    changed = identify("imagefolder", folder, 16)
    assert changed.checksum != before.checksum
    assert isinstance(before, OwnImages)
    (cache_root() / "data").rename(cache_root() / "gone")
    with pytest.raises(DataError, match="not the images that were planned"):
        open_own(before.checksum, "imagefolder", folder, 16)


def test_an_unchanged_folder_is_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_files.write_image_folder(tmp_path / "images")
    first = identify("imagefolder", folder, 16)

    def refuse(*_: Any) -> Arrays:
        raise AssertionError

    monkeypatch.setattr("trainer.datasets.own_images.read_own", refuse)
    assert identify("imagefolder", folder, 16) == first
    assert open_own(first.checksum, "imagefolder", folder, 16).image_size == 16


def test_a_folder_behind_a_link_is_seen_to_change(tmp_path: Path) -> None:
    folder = data_files.write_image_folder(tmp_path / "images")
    (folder / "train").rename(tmp_path / "big")
    (folder / "train").symlink_to(tmp_path / "big")
    (folder / "train" / ".#lock").symlink_to("nowhere")
    before = identify("imagefolder", folder, 16)
    black = np.zeros((3, 16, 16), dtype=np.uint8)
    data_files.save_image(tmp_path / "big" / "kind 0" / "0.png", black)
    assert identify("imagefolder", folder, 16).checksum != before.checksum


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    folder = data_files.write_image_folder(tmp_path / "images")
    before = listing(folder)
    (folder / "train" / "kind 0" / "circle").symlink_to(folder)
    assert listing(folder) == before


def test_an_unverified_folder_never_stands_for_the_verified_archive(small_official: Path) -> None:
    folder = small_official / "tiny-imagenet-200"
    changed = next((folder / "train").rglob("*.JPEG"))
    data_files.save_image(changed, np.zeros((3, 64, 64), dtype=np.uint8))
    spoilt = load_dataset(Data.official("tinyimagenet"), small_official)
    folder.rename(small_official / "elsewhere")
    verified = load_dataset(Data.official("tinyimagenet"), small_official)
    assert not torch.equal(spoilt.train.images, verified.train.images)


@pytest.mark.parametrize("place", ["cache", "image", "data"])
def test_what_may_not_be_read_is_one_message(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where a folder is wanted: root may read everything else."""
    (tmp_path / "file").write_text("")
    folder = data_files.write_image_folder(tmp_path / "images")
    match place:
        case "cache":
            monkeypatch.setenv("KDSWEEP_CACHE", str(tmp_path / "file"))
            with pytest.raises(DataError, match="file"):
                identify("imagefolder", folder, 16)
        case "image":
            image = folder / "train" / "kind 0" / "0.png"
            image.unlink()
            image.mkdir()
            with pytest.raises(DataError, match=r"0\.png: Is a directory"):
                identify("imagefolder", folder, 16)
        case "data":
            with pytest.raises(DataError):
                load_dataset(Data.official("cifar100"), tmp_path / "file")


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/kdsweep-was-here",)


def spoil(folder: Path, form: str, how: str) -> None:
    match form, how:
        case "cifar100", "code":
            (folder / "train").write_bytes(pickle.dumps({b"data": Bomb()}))
        case "cifar100", "truncated":
            (folder / "train").write_bytes((folder / "train").read_bytes()[:500])
        case "cifar100", "missing":
            (folder / "test").unlink()
        case "cifar100", "shape":
            data_files.write_cifar100(folder, size=31)
            rows = pickle.loads((folder / "train").read_bytes(), encoding="bytes")
            rows[b"data"] = rows[b"data"][:, :-1]
            (folder / "train").write_bytes(pickle.dumps(rows))
        case "cifar100", "labels":
            data_files.write_cifar100(folder, classes=5)
            data_files.write_cifar100(folder.with_name("other"), classes=4)
            (folder.with_name("other") / "meta").rename(folder / "meta")
        case "cifar100", "ragged":
            content = pickle.loads((folder / "test").read_bytes(), encoding="bytes")
            content[b"fine_labels"][0] = [1, 2]
            (folder / "test").write_bytes(pickle.dumps(content))
        case "cifar100", "names":
            (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": 3}))
        case "cifar100", "empty class":
            data_files.write_cifar100(folder, classes=50, train=40, test=50)
        case "fashion_mnist", "truncated":
            path = folder / "train-images-idx3-ubyte.gz"
            path.write_bytes(path.read_bytes()[:-20])
        case "fashion_mnist", "short":
            data_files.write_file(
                folder / "t10k-images-idx3-ubyte",
                bytes((0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 28, 0, 0, 0, 28, 1)),
                packed=False,
            )
        case "fashion_mnist", "kind":
            data_files.write_file(folder / "t10k-labels-idx1-ubyte", b"hello, you", packed=False)
        case "tinyimagenet", "missing":
            (folder / "wnids.txt").unlink()
        case "tinyimagenet", "annotation":
            (folder / "val" / "val_annotations.txt").write_text("")
        case "tinyimagenet", "size":
            data_files.save_image(
                next(folder.rglob("*_7.JPEG")), np.zeros((3, 63, 64), dtype=np.uint8)
            )
        case "imagefolder", "image":
            (folder / "train" / "kind 1" / "4.jpg").write_bytes(b"no image")
        case "imagefolder", "empty class":
            (folder / "train" / "kind 9").mkdir()
            (folder / "test" / "kind 9").mkdir()
        case "imagefolder", "classes":
            (folder / "test" / "kind 2").rename(folder / "test" / "kind 3")
        case "imagefolder", "missing":
            (folder / "test").rename(folder / "exam")


@pytest.mark.parametrize(
    ("form", "how", "message"),
    [
        ("cifar100", "code", r"train: damaged.*posix\.system does not belong"),
        ("cifar100", "truncated", "train: damaged, or not a file of images"),
        ("cifar100", "missing", "test: cannot be read: No such file"),
        ("cifar100", "shape", "train: rows of 2882 bytes are no square RGB images"),
        ("cifar100", "labels", "a training image has the label 4, there are 4 classes"),
        ("cifar100", "ragged", "test: the labels are no list of class numbers"),
        ("cifar100", "names", "meta: fine_label_names is no list of names"),
        ("cifar100", "empty class", "the class 'class 40' has no training image"),
        ("fashion_mnist", "truncated", "train-images-idx3-ubyte.gz: damaged"),
        ("fashion_mnist", "short", "1 bytes for 20 x 28 x 28: truncated"),
        ("fashion_mnist", "kind", "t10k-labels-idx1-ubyte: not an IDX file"),
        ("tinyimagenet", "missing", "wnids.txt: no such file"),
        ("tinyimagenet", "annotation", "val_0.JPEG: val/val_annotations.txt gives it no class"),
        ("tinyimagenet", "size", "_7.JPEG: 64x63 pixels, expected 64x64"),
        ("imagefolder", "image", "4.jpg: not a readable image"),
        ("imagefolder", "empty class", "train/kind 9: no image in it"),
        ("imagefolder", "classes", "the class 'kind 2' is not in both train/ and test/"),
        ("imagefolder", "missing", "test: no such folder; expected test/CLASS/IMAGE files"),
    ],
)
def test_spoilt_images_are_named_and_leave_no_cache(
    form: str, how: str, message: str, tmp_path: Path
) -> None:
    write, size = WRITERS[form]
    folder = write(tmp_path / "images")
    spoil(folder, form, how)
    with pytest.raises(DataError, match=message):
        identify(form, folder, size)
    assert not list(cache_root().rglob("*.npy"))
    assert not Path("/tmp/kdsweep-was-here").exists()


# The cache


def arrays_of(value: int, count: int = 4) -> Arrays:
    images = np.full((count, 3, 8, 8), value, dtype=np.uint8)
    half = Half(images, np.arange(count) % 2)
    return Arrays(("a", "b"), half, half)


def test_the_cache_is_memory_mapped_and_never_written_through() -> None:
    first = cached("sha256:1", lambda: arrays_of(7))
    assert isinstance(first.train.images, np.memmap)
    torch.from_numpy(first.train.images).zero_()
    assert (cached("sha256:1", lambda: arrays_of(8)).train.images == 7).all()


@pytest.mark.parametrize("file", ["train_images.npy", "about.json", "test_labels.npy"])
def test_a_damaged_cache_is_made_anew(file: str) -> None:
    cached("sha256:1", lambda: arrays_of(7))
    (path,) = cache_root().rglob(file)
    path.write_bytes(path.read_bytes()[:10])
    assert (cached("sha256:1", lambda: arrays_of(8)).train.images == 8).all()


def build_slowly(started: Any, go_on: Any) -> None:
    def build() -> Arrays:
        started.set()
        go_on.wait(30)
        return arrays_of(1)

    cached("sha256:1", build)


def test_a_builder_that_is_killed_hurts_nobody() -> None:
    context = multiprocessing.get_context("spawn")
    started, go_on = context.Event(), context.Event()
    process = context.Process(target=build_slowly, args=(started, go_on))
    process.start()
    assert started.wait(60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (cached("sha256:1", lambda: arrays_of(2)).train.images == 2).all()


def build_and_count(folder: Path, barrier: Any) -> None:
    def build() -> Arrays:
        (folder / f"built-{os.getpid()}").touch()
        return arrays_of(3, count=20_000)

    barrier.wait(60)
    assert (cached("sha256:1", build).train.images == 3).all()


def test_processes_that_build_at_the_same_time_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=build_and_count, args=(tmp_path, barrier)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(list(tmp_path.glob("built-*"))) == 1
    assert is_empty_of_halves(cache_root())


def test_a_cache_is_open_to_whom_its_folder_is() -> None:
    """Two users share one; the umask of the first is that of most machines."""
    cache_root().mkdir()
    cache_root().chmod(0o2775)
    cached("sha256:1", lambda: arrays_of(7))
    entry = cache_root() / "data" / "sha256-1"
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (entry.parent, entry)}
    assert modes == {"data": 0o2775, "sha256-1": 0o2775}
    lock = entry.with_name("sha256-1.lock")
    assert {path.stat().st_mode & 0o777 for path in (lock, *entry.iterdir())} == {0o664}


def test_what_others_have_decoded_is_read_where_nothing_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cached("sha256:1", lambda: arrays_of(7))

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert (cached("sha256:1", lambda: arrays_of(8)).train.images == 7).all()
    # And a lock that another user has made for themselves alone is no reason to give up.
    assert (cached("sha256:2", lambda: arrays_of(8)).train.images == 8).all()


def test_where_there_is_no_home_the_cache_is_a_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("KDSWEEP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary = tmp_path / f"kdsweep-{os.geteuid()}" / "cache"

    monkeypatch.setenv("HOME", "/proc/no-home")
    assert cache_root() == temporary
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root() == tmp_path / "home" / ".cache" / "kdsweep"

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert cache_root() == temporary


def test_a_cache_that_cannot_be_made_names_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDSWEEP_CACHE", "/proc/nocache")
    with pytest.raises(DataError, match=r"/proc/nocache.*KDSWEEP_CACHE sets another folder"):
        cached("sha256:1", lambda: arrays_of(7))


def test_pixel_statistics() -> None:
    images, _ = data_files.pictures(50, 5, 12, seed=3)
    pixels = images.astype(np.float64) / 255
    mean, std = pixel_statistics(images)
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), atol=5.1e-5)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)), atol=5.1e-5)
    assert pixel_statistics(images[:, 0]) == ((mean[0],) * 3, (std[0],) * 3)
