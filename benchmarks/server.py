"""The Data API as a process of its own, lean and fast enough not to be the bottleneck.

Speaks the sandbox's JSON-RPC: `get.account` and `get.visitor_sessions_report` with token,
`fields`, `date_from`/`date_till` (counted in), `limit`, `offset` and their bounds. Rows come
shuffled, the same way each time.

It leaves out what a benchmark does not ask for: `filter` and `sort` (taken and ignored),
login, partners, limits and their meters, gzip, faults. Sessions are a few thousand bodies of
2.4 KB on average; `date_time`, `id` and `visitor_id` are stamped on per row, so the times
inside a session (hits, communications) do not fit its own.

A URL that ends in `/v2.0/NUMBER` gives sessions that deviate: `odd.NAMES` says how.

`GET /stats` tells what it has done since the last such question.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import math
import random
import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, zip_longest
from typing import Any

import msgspec

from benchmarks.odd import NAMES, ODD
from benchmarks.traffic import SHAPES, times
from sandbox import make_sessions
from sandbox import server as api
from sandbox.filters import Refused

TOKEN = "sandbox-token"
BODIES = 4096
MOST_HITS = 9  # brings the average session to 2.4 KB
FIRST_ID, FIRST_VISITOR = 1_000_000, 700_000
STAMPED = {"date_time": "@", "id": -77_000_001, "visitor_id": -77_000_002}

Template = tuple[bytes, ...]
Piece = bytes | memoryview


class Sessions:
    """`count` sessions, rendered on request. Thread-safe: its caches are only added to."""

    def __init__(self, count: int, shape: str, start: datetime, days: int) -> None:
        self.count = count
        self._times = times(count, shape, start, days)
        self._bodies = make_sessions(BODIES)
        for body in self._bodies:
            del body["hits"][MOST_HITS:]
            body.update(STAMPED)
        self._templates: dict[tuple[tuple[str, ...], str], list[Template]] = {}
        self._orders: dict[tuple[int, int], array[int]] = {}
        # Ids have no relation to time: steps that share no divisor with their range.
        self._step = next(n for n in range(48_271, 2**31) if math.gcd(n, count) == 1)

    def page(
        self, start: str, till: str, fields: list[str], limit: int, offset: int, odd: str = ""
    ) -> tuple[bytes, int, int]:
        """Rows of a closed span, each with a comma; how many; how many the span has.

        Args:
            odd: A name of `odd.ODD`: how they deviate.
        """
        first = bisect_left(self._times, start.encode())
        last = bisect_right(self._times, till.encode())
        numbers = self._order(first, last)[offset : offset + limit]
        templates = self._encoded(tuple(fields), odd)
        chosen = [templates[number * 2_654_435_761 % 4_294_967_296 % BODIES] for number in numbers]
        pieces = list(zip(*chosen, strict=True)) if chosen else []
        stamps = [self._stamps(name, numbers) for name in fields if name in STAMPED]
        columns = chain.from_iterable(zip_longest(pieces, stamps, fillvalue=()))
        rows = zip(*(column for column in columns if column), strict=True)
        return b"".join(chain.from_iterable(rows)), len(numbers), last - first

    def _stamps(self, name: str, numbers: Sequence[int]) -> list[bytes]:
        count, step = self.count, self._step
        if name == "date_time":
            return [self._times[number] for number in numbers]
        if name == "id":
            return [b"%d" % (FIRST_ID + number * step % count) for number in numbers]
        visitors = max(count * 2 // 3, 1)
        return [b"%d" % (FIRST_VISITOR + number * step % visitors) for number in numbers]

    def _order(self, first: int, last: int) -> array[int]:
        """The rows of a query, shuffled; remembered, so that a page costs only itself."""
        order = self._orders.get((first, last))
        if order is None:
            numbers = list(range(first, last))
            random.Random(first * 31 + last).shuffle(numbers)
            order = self._orders[first, last] = array("L", numbers)
        return order

    def _encoded(self, fields: tuple[str, ...], odd: str) -> list[Template]:
        """The bodies with these columns, cut where the stamps go, a comma at the end."""
        if (fields, odd) not in self._templates:
            marks = [msgspec.json.encode(STAMPED[name]) for name in fields if name in STAMPED]
            rows = [{name: body[name] for name in fields} for body in self._bodies]
            if odd:
                for number, row in enumerate(rows):
                    ODD[odd](row, number)
            self._templates[fields, odd] = [
                _cut(msgspec.json.encode(row) + b",", marks) for row in rows
            ]
        return self._templates[fields, odd]


def _cut(row: bytes, marks: list[bytes]) -> Template:
    pieces = []
    for mark in marks:
        before, _, row = row.partition(mark)
        # A text is stamped without its quotes.
        pieces.append(before + b'"' if mark[:1] == b'"' else before)
        row = b'"' + row if mark[:1] == b'"' else row
    return (*pieces, row)


@dataclass
class Stats:
    """What the server has done since the last question."""

    requests: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    bytes: int = 0
    render_seconds: float = 0.0
    cpu_seconds: float = 0.0


class Server(ThreadingHTTPServer):
    """Loopback only; a thread per connection."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, sessions: Sessions, latency: float, cache_mb: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sessions = sessions
        self.latency = latency
        self._cache: dict[bytes, tuple[list[Piece], int]] = {}
        self._room = cache_mb << 20
        self._lock = threading.Lock()
        self._stats = Stats()
        self._cpu = time.process_time()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/v2.0"

    def stats(self) -> Stats:
        """Take the figures and start anew."""
        with self._lock:
            stats, self._stats = self._stats, Stats()
            now = time.process_time()
            stats.cpu_seconds, self._cpu = now - self._cpu, now
        return stats

    def answer(self, body: bytes, odd: str = "") -> list[Piece]:
        """The answer to a call, in pieces: joining them would cost as much as rendering.

        Args:
            odd: A name of `odd.ODD`: how its sessions deviate.
        """
        call = msgspec.json.decode(body)
        id_, method, params = call["id"], call["method"], call.get("params", {})
        began = time.perf_counter()
        try:
            result, rows = self._result(method, params, odd)
            name = b"result"
        except Refused as refusal:
            error = {
                "code": api.CODES.get(refusal.mnemonic, -32602),
                "message": refusal.mnemonic,
                "data": {"mnemonic": refusal.mnemonic, "field": refusal.field},
            }
            result, rows, name = [msgspec.json.encode(error)], 0, b"error"
        with self._lock:
            requests = self._stats.requests
            requests[method] = requests.get(method, 0) + 1
            self._stats.rows += rows
            self._stats.bytes += sum(map(len, result))
            self._stats.render_seconds += time.perf_counter() - began
        head = b'{"jsonrpc":"2.0","id":%b,"%b":' % (msgspec.json.encode(id_), name)
        return [head, *result, b"}"]

    def _result(self, method: str, params: dict[str, Any], odd: str) -> tuple[list[Piece], int]:
        if params.get("access_token") != TOKEN:
            raise Refused("access_token_invalid", "access_token")
        if method == "get.account":
            account = {"app_id": 1, "name": "Benchmark", "timezone": "Europe/Moscow"}
            return [msgspec.json.encode({"meta_data": {}, "data": [account]})], 0
        if method != api.REPORT:
            raise Refused("method_not_found")
        key = odd.encode() + msgspec.json.encode(params, order="sorted")
        held = self._cache.get(key)
        return held or self._report(key, params, odd)

    def _report(self, key: bytes, params: dict[str, Any], odd: str) -> tuple[list[Piece], int]:
        # The sandbox's own checks of what a call may say.
        limit, offset = api._paging(params)
        start, till = api._span(params)
        fields = api._fields(params)
        data, rows, total = self.sessions.page(start, till, fields, limit, offset, odd)
        head = b'{"metadata":{"total_items":%d},"data":[' % total
        result: list[Piece] = [head, memoryview(data)[:-1], b"]}"]
        with self._lock:
            if self._room >= len(data):
                self._room -= len(data)
                self._cache[key] = result, rows
        return result, rows


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """A call."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.latency:
            time.sleep(self.server.latency)
        last = self.path.rpartition("/")[2]
        self._send(self.server.answer(body, NAMES[int(last)] if last.isdigit() else ""))

    def do_GET(self) -> None:
        """The figures."""
        stats: list[Piece] = [msgspec.json.encode(self.server.stats())]
        self._send(stats)

    def _send(self, pieces: list[Piece]) -> None:
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(sum(map(len, pieces))))
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)


def main() -> None:
    """Serve until ended; the first line on stdout is the URL."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--sessions", type=int, default=300_000)
    parser.add_argument("--shape", choices=SHAPES, default="daily")
    parser.add_argument("--start", type=datetime.fromisoformat, default=datetime(2024, 1, 1))
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per request")
    parser.add_argument("--cache-mb", type=int, default=0, help="keep rendered answers")
    options = parser.parse_args()
    sessions = Sessions(options.sessions, options.shape, options.start, options.days)
    server = Server(sessions, options.latency, options.cache_mb)
    print(server.url, flush=True)
    gc.freeze()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
