"""Tables that several resources of a pipeline write to: whose rows go when one is written anew."""

from __future__ import annotations

from typing import Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.pipeline import pipeline_state
from dlt.common.storages.load_package import load_package_state

from tap_visitor_sessions.api import ConfigError

TABLE = "table"
"""Member of a resource's state: the table that its bookmarks stand for."""


def check_others(progress: dict[str, Any], table: str, *, replace: bool) -> None:
    """Rows of other resources of this pipeline must not go while their bookmarks stay.

    Args:
        progress: The state of the resource that is read.
        table: The one that it writes to.
        replace: Whether it writes the table anew; a `refresh` of the run does it too.

    Raises:
        ConfigError: they would.
    """
    if not replace and table not in _refreshed():
        return
    others = [name for name, state in _states() if state is not progress and _holds(state, table)]
    if others:
        way = "write_disposition" if replace else "refresh"
        raise ConfigError(
            way,
            f"{table} holds what {', '.join(sorted(others))} has loaded too: its rows would go, "
            "and its bookmarks stay. Give each a table_name of its own, or drop the pipeline's "
            "state and table and load all anew",
        )


def _holds(state: Any, table: str) -> bool:
    has_read = state.get("read") or state.get("partitions") or state.get("replication_key_value")
    return bool(has_read) and state.get(TABLE) == table


def _states() -> list[tuple[str, Any]]:
    """The states of all resources of the pipeline, each with a name for a reader."""
    state: Any = pipeline_state(Container(), {})[0]
    return [
        (f"{source}.{name}", one)
        for source, found in (state.get("sources") or {}).items()
        for name, one in (found.get("resources") or {}).items()
        if isinstance(one, dict)
    ]


def _refreshed() -> set[str]:
    """Tables that the run drops or empties before it loads."""
    package: Any = load_package_state()["state"] if dlt.current.pipeline() else {}
    tables = [*package.get("dropped_tables", ()), *package.get("truncated_tables", ())]
    return {table["name"] for table in tables}
