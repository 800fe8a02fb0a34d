"""An HTTP server on this machine that misbehaves in the ways servers do."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; `script` holds what to do with the next requests, then it behaves.

    Steps: "ok"; "truncate" (announce all, send half); "stall" (send half, then nothing); "corrupt" (one byte wrong);
    "short" (half, announced as all); "redirect"; "busy" (503); "gone" (404).
    ranges: whether Range is honoured. seen: (method, path, Range header or None) of every request.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, content: bytes, ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.ranges = content, ranges
        self.script: list[str] = []
        self.seen: list[tuple[str, str, str | None]] = []
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights/model.pt"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_arguments) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.seen.append((self.command, self.path, wanted))
        step = server.script.pop(0) if server.script else "ok"
        if step == "redirect":
            self.send_response(302)
            self.send_header("Location", "/elsewhere/model.pt")
            self.end_headers()
            return
        if step in ("busy", "gone"):
            self.send_error({"busy": 503, "gone": 404}[step])
            return
        content, start = server.content, 0
        if wanted and server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        half = len(body) // 2
        if step == "corrupt":
            body = body[:half] + bytes([body[half] ^ 1]) + body[half + 1 :]
        if step == "short":
            body = body[:half]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[:half] if step in ("truncate", "stall") else body)
            self.wfile.flush()
            if step == "stall":
                server.release.wait(20)


@contextlib.contextmanager
def serving(content: bytes, ranges: bool = True) -> Iterator[Server]:
    server = Server(content, ranges)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
