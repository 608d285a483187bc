"""The baseline: download, typed decode, coerce, sort, encode. No framework, no safety net.

Its RECORD lines hold the same records as the tap's. One thing after another, in one thread, in
windows that somebody has told it fit a page; without the garbage collector, which costs a fifth
and finds nothing here.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from operator import attrgetter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import requests

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/visitor_sessions.json").read_text())
FORMAT = "%Y-%m-%d %H:%M:%S"
SCALARS = {"integer": int, "string": str}


def typed(name: str, schema: Mapping[str, Any]) -> Any:
    """The Python type of a JSON Schema."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = next(kind for kind in kinds if kind != "null")
    if kind == "object":
        members: list[Any] = [
            (member, typed(f"{name}_{member}", declared) | None, None)
            for member, declared in schema["properties"].items()
        ]
        return msgspec.defstruct(name, members, gc=False)
    if kind == "array":
        return list[typed(f"{name}_item", schema["items"])]  # type: ignore[misc]
    return datetime if schema.get("format") == "date-time" else SCALARS[kind]


SESSION = typed("session", SCHEMA)


class Line(msgspec.Struct, tag_field="type", tag="RECORD", gc=False):
    """A RECORD message."""

    stream: str
    record: Any
    time_extracted: datetime


def windows(config: dict[str, Any]) -> Iterator[list[Any]]:
    """The sessions of each window, as they come."""
    session = requests.Session()
    decoder = msgspec.json.Decoder(list[SESSION])  # type: ignore[valid-type]
    start, end = (datetime.fromisoformat(config[key]) for key in ("start_date", "end_date"))
    step = timedelta(days=config["window_days"])
    while start <= end:
        rows: list[Any] = []
        total = 1
        while len(rows) < total:
            params = {
                "access_token": config["access_token"],
                "date_from": start.strftime(FORMAT),
                "date_till": min(start + step - timedelta(seconds=1), end).strftime(FORMAT),
                "fields": list(SCHEMA["properties"]),
                "limit": config["page_size"],
                "offset": len(rows),
            }
            call = {"jsonrpc": "2.0", "id": 1, "method": "get.visitor_sessions_report"}
            body = session.post(config["api_url"], json={**call, "params": params}).content
            answer = msgspec.json.decode(body, type=Answer)
            total = answer.result.metadata["total_items"]
            rows += decoder.decode(answer.result.data)
        yield rows
        start += step


class Result(msgspec.Struct):
    """The result of an answer."""

    data: msgspec.Raw
    metadata: dict[str, Any]


class Answer(msgspec.Struct):
    """An answer."""

    result: Result


def offsets(zone: ZoneInfo) -> Callable[[datetime], datetime]:
    """Wall clock to UTC by the offset of the day."""
    days: dict[int, timedelta | None] = {}

    def to_utc(wall: datetime) -> datetime:
        day = wall.toordinal()
        offset = days.get(day)
        if offset is None:
            offset = days[day] = wall.replace(tzinfo=zone).utcoffset()
            assert offset is not None
        return (wall - offset).replace(tzinfo=timezone.utc)

    return to_utc


def coerce(rows: list[Any], to_utc: Callable[[datetime], datetime]) -> None:
    """Times in UTC, nothing null that is an array or an object, sorted."""
    for row in rows:
        row.date_time = to_utc(row.date_time)
        for call in row.communications:
            call.communication_date_time = to_utc(call.communication_date_time)
        campaign = row.integrated_campaign_data
        if campaign.adv_system is None:
            row.integrated_campaign_data = {}
    rows.sort(key=attrgetter("date_time", "id"))


def main(config_path: str) -> None:
    """Everything to stdout."""
    gc.disable()
    encoder = msgspec.json.Encoder()
    to_utc = offsets(ZoneInfo("Europe/Moscow"))
    for rows in windows(json.loads(Path(config_path).read_text())):
        coerce(rows, to_utc)
        for first in range(0, len(rows), 1000):
            now = datetime.now(timezone.utc)
            part = [Line("visitor_sessions", row, now) for row in rows[first : first + 1000]]
            rest = memoryview(encoder.encode_lines(part))
            while rest:
                rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main(sys.argv[1])
