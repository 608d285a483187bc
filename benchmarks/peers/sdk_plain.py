"""The same stream written plainly on the Singer SDK: `RESTStream`, its paginator, its writer.

As the SDK's documentation teaches it: windows of fixed length, pages by offset, a bookmark.
Times stay as the API gives them, and an `error` in an HTTP 200 is not looked for: both would
only cost it time.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import requests
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseAPIPaginator

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/visitor_sessions.json").read_text())
FORMAT = "%Y-%m-%d %H:%M:%S"
SECOND = timedelta(seconds=1)
TOTAL = re.compile(rb'"total_items": *(\d+)')
Token = tuple[datetime, int]  # the window's start, the offset in it


class WindowPaginator(BaseAPIPaginator[Token]):
    """Offset by offset through a window, window by window through the span."""

    def __init__(self, start: datetime, end: datetime, step: timedelta, size: int) -> None:
        super().__init__((start, 0))
        self._end, self._step, self._size = end, step, size

    def get_next(self, response: requests.Response) -> Token | None:
        """The next page of the window, else the next window."""
        start, offset = self.current_value
        offset += self._size
        # Not response.json(): that would decode the page a second time.
        found = TOTAL.search(response.content)
        if found is not None and offset < int(found[1]):
            return start, offset
        start += self._step
        return (start, 0) if start <= self._end else None

    def continue_if_empty(self, response: requests.Response) -> bool:
        """An empty window is not the end."""
        return True


class VisitorSessions(RESTStream[Token]):
    """The report."""

    name = "visitor_sessions"
    path = ""
    http_method = "POST"
    primary_keys = ("id",)
    replication_key = "date_time"
    schema: ClassVar[dict[str, Any]] = SCHEMA
    records_jsonpath = "$.result.data[*]"

    @property
    def url_base(self) -> str:
        """The API's URL."""
        return str(self.config["api_url"])

    @property
    def _end(self) -> datetime:
        return datetime.fromisoformat(self.config["end_date"])

    @property
    def _step(self) -> timedelta:
        return timedelta(days=self.config["window_days"])

    def get_new_paginator(self) -> WindowPaginator:
        """Through the whole span."""
        start = datetime.fromisoformat(self.config["start_date"])
        return WindowPaginator(start, self._end, self._step, self.config["page_size"])

    def prepare_request_payload(
        self, context: Any, next_page_token: Token | None
    ) -> dict[str, Any] | None:
        """The JSON-RPC call."""
        assert next_page_token is not None
        start, offset = next_page_token
        return {
            "jsonrpc": "2.0",
            "id": uuid.uuid4().hex,
            "method": "get.visitor_sessions_report",
            "params": {
                "access_token": self.config["access_token"],
                "date_from": start.strftime(FORMAT),
                "date_till": min(start + self._step - SECOND, self._end).strftime(FORMAT),
                "fields": list(SCHEMA["properties"]),
                "limit": self.config["page_size"],
                "offset": offset,
            },
        }


class TapPlain(Tap):
    """The tap."""

    name = "tap-plain"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("access_token", th.StringType, required=True, secret=True),
        th.Property("api_url", th.StringType, required=True),
        th.Property("start_date", th.DateTimeType, required=True),
        th.Property("end_date", th.DateTimeType, required=True),
        th.Property("window_days", th.IntegerType, default=7),
        th.Property("page_size", th.IntegerType, default=10_000),
    ).to_dict()

    def discover_streams(self) -> list[VisitorSessions]:
        """The one stream."""
        return [VisitorSessions(self)]


if __name__ == "__main__":
    TapPlain.cli()
