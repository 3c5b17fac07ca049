"""A zip file of checkpoints, unpacked without trust in it.

What is taken are files of weights in whose path an architecture is named: `.../vgg13_vanilla/ckpt_epoch_240.pth`
goes to `vgg13_vanilla/ckpt_epoch_240.pth`, whatever folders stand before it. Everything else is left and told. An
archive with a path that leads elsewhere, a link, a password, or more than the bounds is refused whole.
"""

import hashlib
import lzma
import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from trainer.catalog import ARCHITECTURES
from trainer.problems import PlacedError, printable, shortened

ENDINGS = (".pth", ".pt", ".safetensors")
MOST_MEMBERS = 1_000
LARGEST_FILE = 2 * 2**30
LARGEST_IN_ALL = 8 * 2**30
CHUNK = 2**20
BROKEN = (
    *(zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeError),
    *(zlib.error, lzma.LZMAError),
)
"""What damaged archives have been seen to raise."""

_BY_LENGTH = sorted(ARCHITECTURES, key=len, reverse=True)
_NAMED = re.compile(
    rf"(?<![A-Za-z0-9])(?P<name>{'|'.join(map(re.escape, _BY_LENGTH))})(?![A-Za-z0-9])"
)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


class Unpacked(NamedTuple):
    """`files` has the SHA-256 of each checkpoint by its path; `left` are members that are none."""

    files: dict[str, str]
    left: tuple[str, ...]


def architecture_in(path: PurePosixPath | Path) -> str | None:
    """The architecture that a path names last: `vgg13` of `save/vgg13_vanilla/ckpt_epoch_240.pth`.

    Of names within names the longest counts: `resnet8x4`, and `wrn_40_2`.
    """
    for part in reversed(path.parts):
        if found := _NAMED.search(part):
            return found["name"]
    return None


def unpack(archive: Path, folder: Path) -> Unpacked:
    """Unpack the checkpoints of a zip file into an empty folder.

    Raises:
        PlacedError: it is no zip file, damaged, refused, or holds no checkpoint.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            wanted, left = _members(archive, opened.infolist())
            files = {name: _extract(archive, opened, info, folder / name) for name, info in wanted}
    except BROKEN as error:
        raise PlacedError(archive, f"not a whole zip file: {error}") from error
    if not files:
        names = ", ".join(map(printable, left[:5])) or "nothing"
        raise PlacedError(
            archive,
            f"no checkpoint in it: expected files {', '.join(ENDINGS)} named after architectures; it holds {names}",
        )
    return Unpacked(files, left)


def _members(
    archive: Path, infos: list[zipfile.ZipInfo]
) -> tuple[list[tuple[str, zipfile.ZipInfo]], tuple[str, ...]]:
    """The checkpoints with the paths that they get, and the names of other files."""
    if len(infos) > MOST_MEMBERS:
        raise PlacedError(archive, f"{len(infos):,} files; up to {MOST_MEMBERS:,} are unpacked")
    wanted: dict[str, zipfile.ZipInfo] = {}
    left = []
    for info in infos:
        _refuse_dangerous(archive, info)
        if info.is_dir():
            continue
        path = _placed(PurePosixPath(info.filename))
        if path is None:
            left.append(info.filename)
        elif path in wanted:
            raise PlacedError(archive, f"two files that would be {path}")
        else:
            wanted[path] = info
    for path in wanted:
        if (parent := path.partition("/")[0]) != path and parent in wanted:
            raise PlacedError(archive, f"{parent} would be a file and a folder")
    sizes = [info.file_size for info in wanted.values()]
    if max(sizes, default=0) > LARGEST_FILE or sum(sizes) > LARGEST_IN_ALL:
        raise PlacedError(
            archive,
            f"{sum(sizes):,} bytes unpacked, the largest file {max(sizes):,}; up to {LARGEST_IN_ALL:,} in all "
            f"and {LARGEST_FILE:,} each are unpacked",
        )
    return sorted(wanted.items()), tuple(left)


def _refuse_dangerous(archive: Path, info: zipfile.ZipInfo) -> None:
    name = info.filename
    told = repr(printable(shortened(name)))
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0] or "\0" in name:
        raise PlacedError(archive, f"{told} would lead out of the folder; nothing was unpacked")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise PlacedError(archive, f"{told} is a link or a device; nothing was unpacked")
    if info.flag_bits & 0x1:
        raise PlacedError(archive, f"{told} is encrypted")


def _placed(path: PurePosixPath) -> str | None:
    """Where a checkpoint goes: from the first folder, or file, that names an architecture; None for other files."""
    if path.suffix not in ENDINGS or any(part == "__MACOSX" for part in path.parts):
        return None
    for index, part in enumerate(path.parts):
        if _NAMED.search(part):
            kept = path.parts[index:]
            return "/".join(kept) if all(map(_PLAIN.fullmatch, kept)) and len(kept) <= 2 else None
    return None


def _extract(archive: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> str:
    """The SHA-256 of what was written; no more than the archive has promised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with opened.open(info) as source, path.open("xb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
            if file.tell() > info.file_size:
                raise PlacedError(archive, f"{printable(info.filename)!r} is larger than it says")
    return digest.hexdigest()
