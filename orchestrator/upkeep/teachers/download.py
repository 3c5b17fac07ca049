"""A file over HTTP, resumed where it broke off.

What has come so far lies beside the file as `.NAME.part`, with `.NAME.part.json` that says of which version it is a
part. A server that knows ranges sends the rest, if the file is still that version; one that does not, or has
another version by now, sends it from the beginning. The file appears under its name when it is whole.
"""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from trainer.datasets.download import TIMEOUT_S
from trainer.files import write_atomically
from trainer.problems import PlacedError

CHUNK = 2**20
FRUITLESS = 3
"""So many tries in a row that bring nothing new, and it is given up."""

LARGEST_BYTES = 8 * 2**30

Tell = Callable[[int, int | None], None]
"""Told how many bytes there are by now, and of how many, if that is known."""


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """What was asked for by HTTPS does not come without it."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError(f"redirected to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True)
class _Part:
    """What has come so far of a file, and which version of it that is."""

    path: Path

    @property
    def about(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self, url: str) -> str | None:
        """What the server called the version that this is a part of."""
        with suppress(OSError, ValueError, AttributeError):
            about = json.loads(self.about.read_bytes())
            if about.get("url") == url:
                return str(about["validator"]) if about.get("validator") else None
        return None

    def begin(self, url: str, validator: str | None) -> None:
        self.path.unlink(missing_ok=True)
        write_atomically(self.about, json.dumps({"url": url, "validator": validator}).encode())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)


def fetch(url: str, path: Path, tell: Tell) -> None:
    """Fetch `url` to `path`.

    Raises:
        PlacedError: it is no http(s) address, is not there, is too large, or the connection breaks again and again;
            what has come so far stays for the next try.
    """
    if urlsplit(url).scheme not in ("https", "http") or not urlsplit(url).netloc:
        raise PlacedError(url, "expected an address https://... or http://...")
    part = _Part(path.with_name(f".{path.name}.part"))
    path.parent.mkdir(parents=True, exist_ok=True)
    fruitless = 0
    while True:
        before = part.size
        try:
            _try(url, part, tell)
            break
        except urllib.error.HTTPError as error:
            error.close()
            raise PlacedError(url, f"the server says {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise
            fruitless = 0 if part.size > before else fruitless + 1
            if fruitless == FRUITLESS:
                reason = getattr(error, "reason", None) or error or type(error).__name__
                raise PlacedError(
                    url,
                    f"cannot be fetched: {reason}; {part.size:,} bytes are here, and the next try goes on from there",
                ) from error
    part.path.replace(path)
    part.remove()


def _try(url: str, part: _Part, tell: Tell) -> None:
    """One request; returns when the part is the whole."""
    validator, start = part.validator(url), part.size
    headers = {"User-Agent": "kdsweep", "Accept-Encoding": "identity"}
    if start and validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (`fetch` has looked)
    opener = urllib.request.build_opener(_NoDowngrade)
    try:
        response = opener.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # There is nothing behind what is here: it is longer than the file.
        error.close()
        part.remove()
        raise ConnectionError("the part that was here is no part of it") from error
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            part.remove()
            raise ConnectionError("the server sends another range than was asked for")
        if not resumed:
            start = 0
            part.begin(url, _validator(response.headers))
        told = response.headers.get("Content-Length", "")
        total = start + int(told) if told.isdigit() else None
        if total is not None and total > LARGEST_BYTES:
            raise PlacedError(url, f"{total:,} bytes; up to {LARGEST_BYTES:,} are fetched")
        with part.path.open("ab") as file:
            have = _copy(response, file, start, lambda done: tell(done, total), url)
        if total is not None and have < total:
            raise ConnectionError(f"it ended after {have:,} of {total:,} bytes")


def _copy(
    response: IO[bytes], file: IO[bytes], have: int, tell: Callable[[int], None], url: str
) -> int:
    """The number of bytes in the file when the answer has ended."""
    tell(have)
    while chunk := response.read(CHUNK):
        have += len(chunk)
        if have > LARGEST_BYTES:
            raise PlacedError(url, f"more than {LARGEST_BYTES:,} bytes")
        file.write(chunk)
        tell(have)
    file.flush()
    os.fsync(file.fileno())
    return have


def _validator(headers: Any) -> str | None:
    """What If-Range takes: a strong tag, else the time of change."""
    tag = headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return str(tag)
    changed = headers.get("Last-Modified")
    return str(changed) if changed else None
