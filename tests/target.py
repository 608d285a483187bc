"""A loader as the promise sees it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any


class Target:
    """Keeps what came before the last STATE that it saw."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.state: dict[str, Any] = {}

    def read(self, lines: list[str]) -> None:
        if lines and not lines[-1].endswith("\n"):
            lines.pop()  # torn by SIGKILL
        pending: set[int] = set()
        for message in map(json.loads, lines):
            if message["type"] == "RECORD":
                pending.add(message["record"]["id"])
            elif message["type"] == "BATCH":
                for name in message["manifest"]:
                    data = gzip.decompress(Path(name.removeprefix("file://")).read_bytes())
                    pending |= {json.loads(line)["id"] for line in data.splitlines()}
            elif message["type"] == "STATE":
                self.held |= pending
                pending = set()
                self.state = message["value"]
