"""A destination as the promise sees it."""

from __future__ import annotations

from typing import Any

from hosts import Host


class Target:
    """Keeps what came before the last STATE that it saw."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.held: set[int] = set()
        self.state: Any = None

    def read(self, lines: list[str]) -> None:
        if lines and not lines[-1].endswith("\n"):
            lines.pop()  # torn by SIGKILL
        pending: set[int] = set()
        for kind, value in self._host.heard(lines):
            if kind == "RECORD":
                pending.add(value["id"])
            else:
                self.held |= pending
                pending = set()
                self.state = value
