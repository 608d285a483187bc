"""The same stream as a dlt resource, extract step alone.

Windows of fixed length, pages by offset, `incremental` on `date_time`, pages yielded whole as
dlt's documentation advises. What it extracts lies in the folder given, as dlt writes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers import requests

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/visitor_sessions.json").read_text())
FORMAT = "%Y-%m-%d %H:%M:%S"


def pages(config: dict[str, Any], date_time: Any) -> Iterator[list[dict[str, Any]]]:
    """The report, page by page."""
    start = datetime.strptime(date_time.last_value, FORMAT)
    end = datetime.fromisoformat(config["end_date"])
    step = timedelta(days=config["window_days"])
    while start <= end:
        offset, total = 0, 1
        while offset < total:
            params = {
                "access_token": config["access_token"],
                "date_from": start.strftime(FORMAT),
                "date_till": min(start + step - timedelta(seconds=1), end).strftime(FORMAT),
                "fields": list(SCHEMA["properties"]),
                "limit": config["page_size"],
                "offset": offset,
            }
            call = {"jsonrpc": "2.0", "id": 1, "method": "get.visitor_sessions_report"}
            response = requests.post(config["api_url"], json={**call, "params": params})
            result = response.json()["result"]
            yield result["data"]
            offset += config["page_size"]
            total = result["metadata"]["total_items"]
        start += step


def main(config_path: str, folder: str) -> None:
    """Extract."""
    config = json.loads(Path(config_path).read_text())
    first = datetime.fromisoformat(config["start_date"]).strftime(FORMAT)
    cursor = dlt.sources.incremental("date_time", initial_value=first)

    def visitor_sessions(date_time: Any = cursor) -> Iterator[list[dict[str, Any]]]:
        yield from pages(config, date_time)

    resource = dlt.resource(visitor_sessions, primary_key="id", write_disposition="merge")
    pipeline = dlt.pipeline("benchmark", pipelines_dir=folder, destination="filesystem")
    print(pipeline.extract(resource))


if __name__ == "__main__":
    main(*sys.argv[1:])
