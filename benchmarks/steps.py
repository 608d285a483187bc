"""Where the tap's time goes: a page of 10 000 sessions, step by step, in one thread."""

from __future__ import annotations

import argparse
import gc
import time
import uuid
from collections.abc import Callable
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from benchmarks.harness import PAGE, Figure, serving
from tap_visitor_sessions.api.envelope import opened
from tap_visitor_sessions.api.transport import Transport
from tap_visitor_sessions.config.schema import stream_schema
from tap_visitor_sessions.sessions.records.decoder import Decoder
from tap_visitor_sessions.sessions.windows.reader import METHOD
from tap_visitor_sessions.sessions.zones import Zone
from tap_visitor_sessions.singer.output import RecordLines

PAGES = 20


def main(options: argparse.Namespace) -> None:
    """Measure each step by itself, page after page; the first page warms up."""
    schema = stream_schema()
    taken: dict[str, list[float]] = {}

    def step(name: str, action: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        result = action(*arguments)
        taken.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return result

    gc.disable()
    with serving(PAGE) as api:
        config = api.config()
        transport = Transport(config["api_url"], timeout=60, user_agent="benchmark")
        decoder = Decoder(schema, Zone(ZoneInfo("Europe/Moscow")))
        lines = RecordLines("visitor_sessions", None)
        size = 0
        for _ in range(options.rounds * PAGES + 1):
            request_id = uuid.uuid4().hex
            params = {
                "access_token": config["access_token"],
                "date_from": config["start_date"].replace("T", " "),
                "date_till": config["end_date"].replace("T", " "),
                "fields": list(schema["properties"]),
                "limit": PAGE,
                "offset": 0,
            }
            call = {"jsonrpc": "2.0", "id": request_id, "method": METHOD, "params": params}
            question = msgspec.json.encode(call)
            body = step("download", transport.post, question)
            reply = step("envelope", opened, body, request_id)
            rows = step("decode", decoder.rows, reply.data)
            size = len(body)
            del body, reply
            rows = step("times, empty arrays, order", decoder.finish, rows)
            chunks = step("encode", lines.chunks, rows)
            step("free the objects", rows.clear)
            del chunks
    middle = {name: median(times[1:]) for name, times in taken.items()}
    whole = sum(middle.values())
    rows_out: list[list[Any]] = [[name, ms, ms / whole] for name, ms in middle.items()]
    rows_out.append(["all", whole, 1.0])
    settings = {
        "pages": options.rounds * PAGES,
        "MB a page": round(size / 1e6, 1),
        "records/s of one thread": round(PAGE / whole * 1000),
    }
    Figure("steps", ["step", "ms a page", "share"], rows_out, [], settings).show()
