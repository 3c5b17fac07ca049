"""A network that breaks: an HTTP proxy in front of a server, which spoils a share of all requests.

with FaultyProxy("127.0.0.1:5000", rate=0.1, seed=0) as proxy:
    ...  # proxy.address stands for the server; proxy.faults counts what was done, by kind
"""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

FAULTS = (
    "refused",
    "unanswered",
    "delayed",
    "cut in its head",
    "cut in its body",
    "emptied",
    "500",
)
"""Not passed on; passed on, but no answer; late; half an answer; of a whole one nothing but its head, which says
that there is nothing more; not passed on and answered 500."""

DELAY_S = 0.3


class FaultyProxy:
    """Passes requests on, one connection each; spoils `rate` of them, as a generator of `seed` says."""

    def __init__(
        self, server: str, rate: float = 0.0, seed: int = 0, kinds: Sequence[str] = FAULTS
    ) -> None:
        self.rate = rate
        self.kinds = kinds
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self.server = server
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._listening = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._listening.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listening.server_address[1]}"

    def path_for(self, method: str, path: str) -> str:
        """What the server is asked for."""
        return path

    def headers_beside(self, method: str, content: bytes) -> dict[str, str]:
        """What an answer lacks in its head."""
        return {}

    def next_fault(self) -> str | None:
        with self._lock:
            self.requests += 1
            if self._random.random() >= self.rate:
                return None
            fault = self._random.choice(self.kinds)
            self.faults[fault] += 1
            return fault

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listening.shutdown()
        self._listening.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is no error of the proxy."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def _pass_on(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.next_fault()
        if fault == "refused":
            return
        if fault == "500":
            self.wfile.write(
                b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return
        head, content = self._answer(body, is_emptied=fault == "emptied")
        if fault == "delayed":
            time.sleep(DELAY_S)
        if fault == "cut in its head":
            head, content = head[: len(head) // 2], b""
        elif fault == "cut in its body":
            # There may be no body to cut.
            head, content = (head, content[: len(content) // 2]) if content else (head[:-4], b"")
        if fault != "unanswered":
            self.wfile.write(head + content)

    def _answer(self, body: bytes, *, is_emptied: bool) -> tuple[bytes, bytes]:
        upstream = http.client.HTTPConnection(self.proxy.server)
        path = self.proxy.path_for(self.command, self.path)
        headers = {n: value for n, value in self.headers.items() if n.lower() not in _OF_ONE_HOP}
        upstream.request(self.command, path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        told = {
            name: value for name, value in answer.getheaders() if name.lower() not in _OF_ONE_HOP
        }
        told |= self.proxy.headers_beside(self.command, content)
        if is_emptied:
            content = b""
        if self.command != "HEAD" or is_emptied:
            told = {n: v for n, v in told.items() if n.lower() != "content-length"}
            told["Content-Length"] = str(len(content))
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        lines += [f"{name}: {value}" for name, value in told.items()]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode(), content

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing: a test has other output."""


_OF_ONE_HOP = frozenset({"connection", "host", "keep-alive", "transfer-encoding"})
