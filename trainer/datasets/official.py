"""The official data sets: found in the data folder or downloaded, and verified by checksum.

| name | looked for in the data folder, in this order |
|---|---|
| cifar10 | `cifar-10-batches-py/`, `cifar-10-python.tar.gz` |
| cifar100 | `cifar-100-python/`, `cifar-100-python.tar.gz` |
| fashion_mnist | `fashion-mnist/`, `FashionMNIST/raw/` (the four files, packed or not) |
| tinyimagenet | `tiny-imagenet-200/`, `tiny-imagenet-200.zip` |

`fashion_mini` comes with the package.
"""

import hashlib
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainer.catalog import DATASETS
from trainer.datasets import cifar, fashion_mini, idx, tiny_imagenet
from trainer.datasets.arrays import Arrays
from trainer.datasets.download import download
from trainer.datasets.errors import DataError


@dataclass(frozen=True)
class Archive:
    """An official archive, and the MD5 of each file that is read from it (where they are known)."""

    file: str
    folder: str
    url: str
    md5: str
    members: Mapping[str, str] = field(default_factory=dict)


ARCHIVES: Mapping[str, Archive] = {
    "cifar10": Archive(
        file="cifar-10-python.tar.gz",
        folder="cifar-10-batches-py",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        members={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
    "cifar100": Archive(
        file="cifar-100-python.tar.gz",
        folder="cifar-100-python",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        members={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
    ),
    "tinyimagenet": Archive(
        file="tiny-imagenet-200.zip",
        folder="tiny-imagenet-200",
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        md5="90528d7ca1a48142e341f4ef8d21d0de",
    ),
}

FASHION_FOLDERS = ("fashion-mnist", "FashionMNIST/raw")
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MD5: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
"""Of the files as they are published."""

FASHION_SHA256: Mapping[str, str] = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""Of their unpacked content, which is the same however it was packed."""


def read_official(name: str, data_folder: Path) -> Arrays:
    """Find, verify and decode an official data set.

    Raises:
        DataError: it is not there and cannot be downloaded, or it is not the official one.
    """
    readers: Mapping[str, Callable[[], Arrays]] = {
        "fashion_mini": fashion_mini.read,
        "fashion_mnist": lambda: _fashion_mnist(data_folder),
        "cifar10": lambda: _cifar("cifar10", data_folder),
        "cifar100": lambda: _cifar("cifar100", data_folder),
        "tinyimagenet": lambda: _tiny_imagenet(data_folder),
    }
    arrays = readers[name]()
    facts = DATASETS[name]
    counts = (len(arrays.train.labels), len(arrays.test.labels), len(arrays.class_names))
    expected = (facts.train_images, facts.test_images, facts.num_classes)
    if counts != expected or arrays.image_size != facts.image_size:
        raise DataError(
            f"{data_folder}: not the official {name}: {counts[0]} + {counts[1]} images of "
            f"{arrays.image_size} pixels in {counts[2]} classes, expected {expected[0]} + {expected[1]} "
            f"of {facts.image_size} in {expected[2]}{_or_ones_own(name)}"
        )
    return arrays


def unverified_folder(name: str, data_folder: Path) -> Path | None:
    """The folder that would be read without checksums, because none of its files are published."""
    archive = ARCHIVES.get(name)
    if archive is None or archive.members or not (data_folder / archive.folder).is_dir():
        return None
    return data_folder / archive.folder


def _or_ones_own(name: str) -> str:
    return (
        f"; images of your own in this layout are named so: "
        f"dataset: {{name: mine, format: {name}, path: FOLDER}}"
    )


def _verify(raw: bytes, md5: str, path: Path, name: str) -> bytes:
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if digest != md5:
        raise DataError(
            f"{path}: damaged, or not the official file: its MD5 is {digest}, expected {md5}"
            + _or_ones_own(name)
        )
    return raw


def _fetched(archive: Archive, data_folder: Path, name: str) -> Path:
    """The verified archive; downloaded where it is not there."""
    path = data_folder / archive.file
    if path.exists():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        if digest != archive.md5:
            raise DataError(
                f"{path}: damaged, or half downloaded: its MD5 is {digest}, expected {archive.md5}; "
                f"remove it, or get it from {archive.url}" + _or_ones_own(name)
            )
    else:
        download(archive.url, path, archive.md5)
    return path


def _cifar(name: str, data_folder: Path) -> Arrays:
    archive, layout = ARCHIVES[name], cifar.LAYOUTS[name]
    folder = data_folder / archive.folder

    def verified(read: cifar.ReadFile) -> cifar.ReadFile:
        return lambda file: _verify(read(file), archive.members[file], folder / file, name)

    if all((folder / file).is_file() for file in archive.members):
        return cifar.read(layout, verified(cifar.files_of_folder(folder)), folder)
    with tarfile.open(_fetched(archive, data_folder, name)) as tar:

        def from_tar(file: str) -> bytes:
            member = tar.extractfile(f"{archive.folder}/{file}")
            return member.read() if member else b""

        return cifar.read(layout, verified(from_tar), folder)


def _tiny_imagenet(data_folder: Path) -> Arrays:
    archive = ARCHIVES["tinyimagenet"]
    folder = data_folder / archive.folder
    if folder.is_dir():
        return tiny_imagenet.read(tiny_imagenet.files_of_folder(folder), folder)
    path = _fetched(archive, data_folder, "tinyimagenet")
    with zipfile.ZipFile(path) as zip_file:
        return tiny_imagenet.read(tiny_imagenet.files_of_zip(zip_file), path)


def _fashion_mnist(data_folder: Path) -> Arrays:
    folders = [data_folder / name for name in FASHION_FOLDERS]
    folder = next((f for f in folders if f.is_dir()), folders[0])
    for file, md5 in FASHION_MD5.items():
        packed = folder / file
        if not packed.exists() and not packed.with_suffix("").exists():
            download(FASHION_URL + file, packed, md5)

    def verified(file: str) -> bytes:
        raw = idx.read_file(folder, file)
        digest = hashlib.sha256(raw).hexdigest()
        if digest != FASHION_SHA256[file]:
            raise DataError(
                f"{folder / file}: damaged, or not the official file: the SHA-256 of its content is "
                f"{digest}, expected {FASHION_SHA256[file]}" + _or_ones_own("fashion_mnist")
            )
        return raw

    return idx.read(verified, folder)
