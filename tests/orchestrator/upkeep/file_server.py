"""A server of one file over real sockets, as good or as bad as a test needs it."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What it sends: `breaks` are the numbers of bytes after which its next answers break off."""

    content: bytes
    tag: str | None = '"one"'
    knows_ranges: bool = True
    tells_length: bool = True
    breaks: list[int] = field(default_factory=list)
    redirect: str | None = None
    requests: list[str | None] = field(default_factory=list)
    """The Range of each request."""
    url: str = ""


@contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """Serve a file at `url` while the block runs."""
    served = FileServer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            served.requests.append(asked)
            if self.path == "/missing.zip":
                self.send_error(404)
                return
            if served.redirect:
                self.send_response(302)
                self.send_header("Location", served.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = 0
            match = re.fullmatch(r"bytes=(\d+)-", asked or "")
            if match and served.knows_ranges and self.headers.get("If-Range") == served.tag:
                start = int(match[1])
                if start >= len(served.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                last = len(served.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(served.content)}")
            else:
                self.send_response(200)
            if served.tag:
                self.send_header("ETag", served.tag)
            if served.tells_length:
                self.send_header("Content-Length", str(len(served.content) - start))
            self.end_headers()
            rest = served.content[start:]
            sent = served.breaks.pop(0) if served.breaks else len(rest)
            self.wfile.write(rest[:sent])

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/teachers.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
