"""A wire on loopback between tap and sandbox that mangles answers, and a forward proxy.

Source: what gateways, proxies and networks do to HTTP; the API's pages do not speak of it.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import random
import socket
import ssl
import struct
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec

LONGEST = 20.0
"""Seconds after which a connection that hangs is ended, whatever happens."""
DELIVERY = 0.05
"""Seconds that bytes get to arrive before a reset, which throws away what is on its way."""
HTML = b"<html><head><title>Oops</title></head><body>nginx</body></html>"

Fault = Callable[["Line"], None]


class Line:
    """One request of the tap, and the connection on which to answer it well or badly."""

    def __init__(self, sock: socket.socket, stopped: threading.Event) -> None:
        self._sock = sock
        self._stopped = stopped
        self.ask: Callable[[], bytes] = lambda: b""
        """Asks the sandbox; returns the body of its answer."""
        self.status = "200 OK"
        self.late = b""
        """Bytes that go out before the answer to the next request."""
        self.previous = b""
        """An answer that is held back until the next request."""
        self.is_open = True

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self._sock.sendall(data)
        except OSError:
            self.is_open = False

    def answer(
        self, body: bytes, *headers: str, status: str = "200 OK", length: int | None = None
    ) -> None:
        """Send an answer; `length` is what Content-Length claims (default: the truth)."""
        self.send(framed(body, *headers, status=status, length=length))

    def close(self) -> None:
        """End the connection in the regular way."""
        self.is_open = False
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        self._sock.close()

    def reset(self) -> None:
        """End the connection with RST, after what was sent has arrived."""
        self._stopped.wait(DELIVERY)
        self.is_open = False
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def hang(self) -> None:
        """Say nothing more, until the tap hangs up."""
        self.is_open = False
        with suppress(OSError):
            self._sock.settimeout(LONGEST)
            self._sock.recv(1)
        self.close()

    def drip(self, data: bytes, pause: float = 0.05) -> None:
        """Send byte by byte, again and again, until the tap hangs up."""
        for _ in range(int(LONGEST / pause / max(len(data), 1)) + 1):
            for place in range(len(data)):
                if not self.is_open or self._stopped.wait(pause):
                    self.close()
                    return
                self.send(data[place : place + 1])
        self.close()


def framed(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """Header and body of an answer."""
    size = len(body) if length is None else length
    kind = [] if any(h.lower().startswith("content-type") for h in headers) else [JSON]
    lines = [f"HTTP/1.1 {status}", *kind, *headers, f"Content-Length: {size}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


JSON = "Content-Type: application/json; charset=UTF-8"
HTML_TYPE = "Content-Type: text/html"
CHUNKED = f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def in_chunks(body: bytes, size: int = 1000) -> bytes:
    """The body in chunked transfer coding, without the chunk that ends it."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def status(code: str, *headers: str, body: bytes = HTML) -> Fault:
    """A gateway's answer with this status."""
    return lambda line: line.answer(body, HTML_TYPE, *headers, status=code)


def changed(change: Callable[[dict[str, Any]], object]) -> Fault:
    """The sandbox's answer, its envelope changed."""

    def send(line: Line) -> None:
        envelope: dict[str, Any] = msgspec.json.decode(line.ask())
        change(envelope)
        line.answer(msgspec.json.encode(envelope))

    return send


def rewritten(rewrite: Callable[[bytes], bytes], *headers: str) -> Fault:
    """The sandbox's answer, its bytes rewritten, in a sound frame."""
    return lambda line: line.answer(rewrite(line.ask()), *headers)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _reset_at_connect(line: Line) -> None:
    line.reset()


def _reset_in_header(line: Line) -> None:
    line.send(framed(line.ask())[:40])
    line.reset()


def _reset_in_body(line: Line) -> None:
    line.send(_half(framed(line.ask())))
    line.reset()


def _closed_in_body(line: Line) -> None:
    line.send(_half(framed(line.ask())))
    line.close()


def _closed_in_header(line: Line) -> None:
    line.send(framed(line.ask())[:40])
    line.close()


def _closed_unanswered(line: Line) -> None:
    line.ask()
    line.close()


def _cut_without_length(line: Line) -> None:
    line.send(f"HTTP/1.1 200 OK\r\n{JSON}\r\nConnection: close\r\n\r\n".encode())
    line.send(_half(line.ask()))
    line.close()


def _longer_than_said(line: Line) -> None:
    line.answer(line.ask() + b'{"more":1}' * 500, length=len(line.ask()))


def _length_too_small(line: Line) -> None:
    line.answer(line.ask(), length=len(line.ask()) // 2)


def _length_too_large(line: Line) -> None:
    line.answer(line.ask(), length=len(line.ask()) + 100)
    line.close()


def _late_garbage(line: Line) -> None:
    line.answer(line.ask())
    line.late = b'{"more":1}' * 500


def _answered_twice(line: Line) -> None:
    line.answer(line.ask())
    line.late = framed(line.ask())


def _lagging(line: Line) -> None:
    line.send(line.previous or framed(line.ask()))
    line.previous = framed(line.ask())


def _chunked_cut(line: Line) -> None:
    line.send(CHUNKED + _half(in_chunks(line.ask())))
    line.close()


def _chunked_unended(line: Line) -> None:
    line.send(CHUNKED + in_chunks(_half(line.ask())))
    line.close()


def _chunks_longer_than_said(line: Line) -> None:
    line.send(CHUNKED + in_chunks(line.ask()).replace(b"\r\n", b"}}}}\r\n", 2) + b"0\r\n\r\n")


def _chunked_ended_early(line: Line) -> None:
    line.send(CHUNKED + in_chunks(_half(line.ask())) + b"0\r\n\r\n")


def _closed_after_answer(line: Line) -> None:
    line.answer(line.ask())
    line.close()


def _gzip_garbage(line: Line) -> None:
    line.answer(b"\x00\x01" * 300, "Content-Encoding: gzip")


def _hang_in_header(line: Line) -> None:
    line.send(framed(line.ask())[:40])
    line.hang()


def _hang_in_body(line: Line) -> None:
    line.send(_half(framed(line.ask())))
    line.hang()


def _drip_in_header(line: Line) -> None:
    line.send(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    line.drip(b"drip" * 100)


def _drip_in_body(line: Line) -> None:
    line.send(framed(b"", length=10**6))
    line.drip(b" ")


def _drip_in_chunks(line: Line) -> None:
    line.send(CHUNKED)
    line.drip(b"1\r\n \r\n")


FAULTS: dict[str, Fault] = {
    "HTTP 502 with HTML": status("502 Bad Gateway"),
    "HTTP 503 with HTML": status("503 Service Unavailable"),
    "HTTP 504 with HTML": status("504 Gateway Timeout"),
    "HTTP 200 with HTML": status("200 OK"),
    "HTTP 200 with an empty body": status("200 OK", body=b""),
    "reset at connect": _reset_at_connect,
    "reset within the header": _reset_in_header,
    "reset within the body": _reset_in_body,
    "closed without an answer": _closed_unanswered,
    "closed within the header": _closed_in_header,
    "body shorter than Content-Length": _closed_in_body,
    "body cut, no Content-Length": _cut_without_length,
    "body longer than Content-Length": _longer_than_said,
    "Content-Length too small for the answer": _length_too_small,
    "Content-Length too large for the answer": _length_too_large,
    "garbage between two answers": _late_garbage,
    "the same answer sent twice": _answered_twice,
    "answers that lag one request behind": _lagging,
    "chunked body cut within a chunk": _chunked_cut,
    "chunked body without its end": _chunked_unended,
    "chunked body ended too early": _chunked_ended_early,
    "chunks longer than they say": _chunks_longer_than_said,
    "keep-alive connection closed after the answer": _closed_after_answer,
    "answer to another id": changed(lambda envelope: envelope.update(id="another")),
    "garbage after the JSON": rewritten(lambda body: body + b"garbage"),
    "two JSON answers in one body": rewritten(lambda body: body + body),
    "gzip cut short": rewritten(lambda body: _half(gzip.compress(body)), "Content-Encoding: gzip"),
    "garbage declared as gzip": _gzip_garbage,
}
"""Faults that pass by themselves, by a short description."""

SILENCES: dict[str, Fault] = {
    "no answer at all": Line.hang,
    "silence within the header": _hang_in_header,
    "silence within the body": _hang_in_body,
    "header that drips and never ends": _drip_in_header,
    "body that drips and never ends": _drip_in_body,
    "chunks that drip and never end": _drip_in_chunks,
}
"""Answers that never come to their end."""


class _Server(ABC):
    """Serves connections on loopback, a thread for each, until its block ends."""

    scheme = "http"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.port = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Serve until the block ends."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.05)
            self.port = int(listener.getsockname()[1])
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                self._stopped.set()
                thread.join(5)
                with self._lock:
                    for sock in self._open:
                        with suppress(OSError):
                            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock: socket.socket) -> None:
        sock.settimeout(LONGEST)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers wait 40 ms
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with self._lock:
                self._open.add(sock)
            self._serve(sock)
        except (OSError, http.client.HTTPException):
            pass  # the tap hung up, or never meant it
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    @abstractmethod
    def _serve(self, sock: socket.socket) -> None:
        """Answer the requests of one connection."""


class _Request:
    """A request as read from a connection."""

    def __init__(self, reader: Any) -> None:
        self.method, self.target, _ = reader.readline().decode("latin-1").split(" ", 2)
        self.headers = http.client.parse_headers(reader)
        self.body: bytes = reader.read(int(self.headers.get("Content-Length") or 0))

    def pass_on(self, upstream: http.client.HTTPConnection, path: str) -> tuple[str, bytes]:
        """Ask an upstream: status line and body of its answer."""
        wanted = {"Content-Type": self.headers.get("Content-Type", "")}
        upstream.request(self.method, path, self.body, wanted)
        response = upstream.getresponse()
        return f"{response.status} {response.reason}", response.read()


class Wire(_Server):
    """Stands between tap and sandbox. Use as `with Wire(...).running() as wire`.

    Args:
        sandbox_url: Where the good answers come from.
        faults: What to do to requests, by description; in turn, or drawn when `share` < 1.
        share: Probability that a request is struck.
        first: Strike only among so many first requests.
        tls: Serve over TLS with this context.
    """

    def __init__(
        self,
        sandbox_url: str,
        faults: Mapping[str, Fault] = FAULTS,
        *,
        share: float = 1.0,
        first: int | None = None,
        seed: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls)
        self._sandbox = urlsplit(sandbox_url)
        self._faults = dict(faults)
        self._share = share
        self._first = first
        self._random = random.Random(seed)
        self.requests = 0
        self.connections = 0
        self.injected: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """The api_url for the tap."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}{self._sandbox.path}"

    @contextmanager
    def running(self) -> Iterator[Wire]:
        """Serve until the block ends."""
        with self.listening():
            yield self

    def _serve(self, sock: socket.socket) -> None:
        line = Line(sock, self._stopped)
        self.connections += 1
        upstream = http.client.HTTPConnection(
            self._sandbox.hostname or "", self._sandbox.port, timeout=LONGEST
        )
        fault = self._draw()  # now, since a reset can strike before there is a request
        with sock.makefile("rb") as reader:
            while line.is_open:
                if fault is _reset_at_connect:
                    return line.reset()
                request = _Request(reader)
                if line.late:
                    line.send(line.late)
                    line.late = b""
                self._answer(line, request, upstream, fault)
                if not line.is_open or not reader.peek(1):
                    return None
                fault = self._draw()
        return None

    def _answer(
        self,
        line: Line,
        request: _Request,
        upstream: http.client.HTTPConnection,
        fault: Fault | None,
    ) -> None:
        answers: list[bytes] = []

        def ask() -> bytes:
            if not answers:
                line.status, body = request.pass_on(upstream, request.target)
                answers.append(body)
            return answers[0]

        line.ask = ask
        if fault is None:
            body = ask()
            line.answer(body, status=line.status)
        else:
            fault(line)

    def _draw(self) -> Fault | None:
        """The fault that strikes the next request, counted; None: the request goes well."""
        with self._lock:
            self.requests += 1
            late = self._first is not None and self.requests > self._first
            if late or not self._faults or self._random.random() >= self._share:
                return None
            names = list(self._faults)
            turn = (self.requests - 1) % len(names)
            name = names[turn] if self._share >= 1 else self._random.choice(names)
            self.injected[name] += 1
            return self._faults[name]


class Proxy(_Server):
    """A forward proxy to loopback that wants a password, or refuses everything.

    Args:
        refuses: None, or how it refuses: a status line such as `502 Bad Gateway`, or
            `closed` for no answer at all.
    """

    def __init__(self, user: str, password: str, *, refuses: str | None = None) -> None:
        super().__init__()
        self._user = user
        self._password = password
        self._refuses = refuses
        self.passed = 0
        self.refused = 0

    @property
    def url(self) -> str:
        """The proxy as HTTP_PROXY names it, user and password in it."""
        return f"http://{self._user}:{self._password}@127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Serve until the block ends."""
        with self.listening():
            yield self

    def _serve(self, sock: socket.socket) -> None:
        line = Line(sock, self._stopped)
        with sock.makefile("rb") as reader:
            while line.is_open and reader.peek(1):
                request = _Request(reader)
                refusal = self._refuses or self._unknown(request)
                if refusal:
                    self.refused += 1
                    if refusal != "closed":
                        line.answer(HTML, HTML_TYPE, status=refusal)
                    return line.close()
                self.passed += 1
                if request.method == "CONNECT":
                    return self._tunnel(sock, line, request)
                self._forward(line, request)
        return None

    def _unknown(self, request: _Request) -> str | None:
        pair = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        known = request.headers.get("Proxy-Authorization") == f"Basic {pair}"
        return None if known else "407 Proxy Authentication Required"

    @staticmethod
    def _forward(line: Line, request: _Request) -> None:
        target = urlsplit(request.target)
        assert target.hostname == "127.0.0.1", "loopback only"
        upstream = http.client.HTTPConnection(target.hostname, target.port, timeout=LONGEST)
        answered, body = request.pass_on(upstream, target.path)
        upstream.close()
        line.answer(body, status=answered)

    def _tunnel(self, sock: socket.socket, line: Line, request: _Request) -> None:
        host, port = request.target.rsplit(":", 1)
        assert host == "127.0.0.1", "loopback only"
        with socket.create_connection((host, int(port)), LONGEST) as far:
            line.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(far, sock), daemon=True)
            back.start()
            _pump(sock, far)
            back.join(LONGEST)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes one way until either end has had enough."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
