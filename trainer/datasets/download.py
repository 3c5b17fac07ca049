"""Fetching an official file, verified before it appears under its name."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.datasets.errors import DataError

TIMEOUT_S = 30.0


def download(url: str, path: Path, md5: str) -> None:
    """Fetch `url` to `path`; a download that is cut off or wrong leaves nothing behind.

    Raises:
        DataError: it cannot be fetched, or is not the file; tells how to get it by hand.
    """
    from torchvision.datasets.utils import download_url

    is_new = not path.parent.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as folder:
            with _timeout():
                download_url(url, folder, path.name, md5)
            (Path(folder) / path.name).rename(path)
    except (OSError, RuntimeError) as error:
        if is_new:
            with suppress(OSError):
                path.parent.rmdir()
        raise DataError(
            f"{path}: no such file, and it could not be downloaded ({error}); "
            f"get {url} (MD5 {md5}) and put it into {path.parent}"
        ) from error


@contextmanager
def _timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
