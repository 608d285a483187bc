"""How the tables are to be written, and whether the bookmarks can keep up with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.utils import resolve_merge_strategy
from dlt.extract import DltResource

from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import DAYS

MERGES = ("delete-insert", "upsert", "insert-only")
"""Strategies under which a row that is not in a load stays as it is: each load brings but the
sessions since the last one."""
CHILD_MERGE = "delete-insert"
"""The one under which rows go that a session has no more."""


def replaces(resources: Mapping[str, DltResource], name: str, children: Sequence[str]) -> bool:
    """Whether the tables are replaced as the source runs: hints may have been changed since it was
    made, tables left out, renamed or put together.

    Args:
        resources: Those that run.
        name: That of the sessions.
        children: Those of their items.

    Raises:
        ConfigError: the bookmarks would not go with what is in the tables.
    """
    days = [DAYS] if DAYS in resources else []
    if days and name not in resources:
        raise ConfigError(
            DAYS,
            f"says which sessions have been loaded, and {name} is left out: take both, by "
            f'with_resources("{name}", "{DAYS}")',
        )
    for one in (name, *children):
        if one not in resources:
            raise ConfigError(
                "child_tables",
                f"{one} is left out, by with_resources, or since with_name or run took one "
                "resource out of the source: one bookmark holds for all tables. Run the source",
            )
    ways = {one: _way(resources[one]) for one in (name, *children, *days)}
    if len({way for way, _ in ways.values()}) > 1:
        raise ConfigError("write_disposition", "must be the same for all tables")
    names = [resources[one].table_name for one in ways]
    if any(callable(one) for one in names) or len({*names}) < len(names):
        raise ConfigError("table_name", "must be one for each table, and no function")
    for one, (way, strategy) in ways.items():
        if way == "merge" and strategy is not None and strategy not in MERGES:
            raise ConfigError(
                "write_disposition",
                f"strategy {strategy} treats rows that a load lacks as deleted, and a load has "
                f"but the sessions since the last one: use {', '.join(MERGES)}",
            )
        if one in children and way != "replace" and strategy != CHILD_MERGE:
            raise ConfigError(
                "child_tables",
                f"{one} would be written by {strategy or 'append'}, which keeps items that a "
                f"session no longer has: use merge by {CHILD_MERGE}, or replace",
            )
    return ways[name][0] == "replace"


def _way(resource: DltResource) -> tuple[str, str | None]:
    """The write disposition of a table; of a merge the strategy, None where the destination has
    none and appends."""
    given: Any = resource.write_disposition
    way = given.get("disposition") if isinstance(given, Mapping) else given
    if callable(way) or way not in ("merge", "replace", "append"):
        raise ConfigError("write_disposition", "must be merge, replace or append, and no function")
    if way != "merge":
        return way, None
    table: Any = resource.compute_table_schema()
    container = Container()
    if DestinationCapabilitiesContext in container:
        capabilities = container[DestinationCapabilitiesContext]
        return way, resolve_merge_strategy({table["name"]: table}, table, capabilities)
    return way, table.get("x-merge-strategy", CHILD_MERGE)
