"""The source as dlt wants it: Arrow tables out, the bookmarks in dlt's own state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Literal

import dlt
from dlt.common.typing import TSecretStrValue

from tap_visitor_sessions.api import ConfigError, CustomersFailed
from tap_visitor_sessions.config import (
    ADDED,
    BOOKMARK,
    KEY,
    STREAM,
    Settings,
    core_settings,
    emitted_schema,
    key_of,
)
from tap_visitor_sessions.dlt.hints import CHILD_KEY, child_table, columns_of
from tap_visitor_sessions.dlt.tables import Made, Maker
from tap_visitor_sessions.sessions import Columns, Connection, Extraction, StreamState
from tap_visitor_sessions.startup import collecting_seldom, share_one_heap

logger = logging.getLogger("tap-visitor-sessions.dlt")

FILES = "parquet"
"""By which the tables are loaded, where the destination takes them so: measured, the fastest."""


@dlt.source(name=STREAM, section=STREAM)
def visitor_sessions(
    access_token: TSecretStrValue | None = None,
    login: TSecretStrValue | None = None,
    password: TSecretStrValue | None = None,
    api_url: str | None = None,
    start_date: str = dlt.config.value,
    end_date: str | None = None,
    timezone: str | None = None,
    lookback_window: str | None = None,
    filter: dict[str, Any] | None = None,
    page_size: int | None = None,
    concurrency: int | None = None,
    request_timeout: float | None = None,
    max_retries: int | None = None,
    on_daily_limit: Literal["fail", "wait"] | None = None,
    account: str | None = None,
    account_type: Literal["customer", "partner"] | None = None,
    user_ids: list[int] | None = None,
    exclude_customer_ids: list[int] | None = None,
    on_customer_error: Literal["skip", "fail"] | None = None,
    customer_timezones: dict[str, str] | None = None,
    timezones: dict[str, str] | None = None,
    hash_columns: list[str] | None = None,
    hash_key: TSecretStrValue | None = None,
    *,
    select: list[str] | None = None,
    child_tables: bool = False,
) -> Any:
    """Visitor sessions of a CallGear, CoMagic or UIS account, complete and in order.

    The arguments up to `hash_key` are the settings of the README's table, and each can come from
    dlt's configuration: `[sources.visitor_sessions]` in `config.toml` and `secrets.toml`, or
    `SOURCES__VISITOR_SESSIONS__ACCESS_TOKEN`. None: not set.

    Args:
        select: The columns wanted; else all. Key and bookmark always come.
        child_tables: Whether hits and communications are rows of tables of their own,
            `visitor_sessions__hits` and `visitor_sessions__communications`.

    Returns:
        A source with the resource `visitor_sessions`: Arrow tables, merged on `id`. How far it
        has read stands in the resource's state, which dlt keeps only with what it has loaded.

    Raises:
        SettingsError: a setting cannot work.
        ConfigError: `select` names a column that there is not.
    """
    given = {name: value for name, value in locals().items() if name not in _OWN}
    given = {name: _plain(value) for name, value in given.items() if value is not None}
    settings = core_settings(given)
    if child_tables and settings.account is not None:
        raise ConfigError("child_tables", "does not go with account: ids of two accounts may meet")
    schema = _selected(settings, select)
    maker = Maker(schema, child_tables=child_tables)
    key = key_of(settings)

    reading = _Reading(settings, maker, list(schema["properties"]))
    how: dict[str, Any] = {"write_disposition": "merge", "file_format": FILES}
    main: dict[str, Any] = {**how, "name": STREAM, "primary_key": list(key)}
    main["columns"] = columns_of(maker.schema, key)
    if not maker.children:

        def tables() -> Iterator[Any]:
            for made in reading.windows():
                yield made.tables[STREAM]

        return dlt.resource(tables, **main)

    def windows() -> Iterator[Made]:
        yield from reading.windows()

    # Each window goes to every table.
    source: Any = dlt.resource(windows, name=f"{STREAM}_windows", selected=False)
    resources = [source, dlt.transformer(_table(STREAM), data_from=source, **main)]
    for column, child in maker.children.items():
        name = child_table(column)
        hints = {**how, "name": name, "columns": columns_of(child, CHILD_KEY)}
        hints |= {"primary_key": list(CHILD_KEY), "merge_key": CHILD_KEY[0]}
        resources.append(dlt.transformer(_table(name), data_from=source, **hints))
    return resources


_OWN = ("select", "child_tables")
"""Arguments that are no settings."""


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _selected(settings: Settings, select: Sequence[str] | None) -> dict[str, Any]:
    """The JSON Schema of the columns wanted."""
    properties = emitted_schema(settings)["properties"]
    if select is None:
        return {"properties": properties}
    if unknown := sorted(set(select) - set(properties)):
        raise ConfigError("select", f"there are no columns {', '.join(unknown)}")
    wanted = {*select, KEY, BOOKMARK, *(ADDED & properties.keys())}
    return {"properties": {name: one for name, one in properties.items() if name in wanted}}


def _table(name: str) -> Callable[[Made], Any]:
    def table(made: Made) -> Any:
        return made.tables[name]

    return table


class _Reading:
    """One read of the sessions."""

    def __init__(self, settings: Settings, maker: Maker, names: Sequence[str]) -> None:
        self._settings = settings
        self._maker = maker
        self._columns = Columns(names)

    def windows(self) -> Iterator[Made]:
        """The tables of all windows; the bookmarks move as they are taken."""
        share_one_heap()
        settings = self._settings
        # Of one name, whatever tables are made.
        progress = dlt.current.resource_state(STREAM)
        kept = StreamState(progress, is_partner=settings.is_partner, account=settings.account)
        connection = Connection(settings, "tap-visitor-sessions-dlt")
        extraction = Extraction(connection, kept, incremental=not _replaces(self._maker))
        self._maker.say_by(extraction.warnings)
        try:
            with (
                _known_differences(),
                collecting_seldom(),
                extraction.run(),
                extraction.parts(self._columns, self._maker.made) as parts,
            ):
                for part in parts:
                    for taken in part.windows():
                        if taken.ready is not None:
                            yield taken.ready
                            part.emitted(taken.ready.until, taken.ready.count)
                        part.finished(taken)
        except CustomersFailed as problem:
            # Raised here, dlt would throw away what the others have brought.
            logger.error("%s", problem)
        finally:
            # Those of a resource that has no table of its own are told by nobody.
            dlt.current.source().resources[STREAM].custom_metrics.update(extraction.figures())


def _replaces(maker: Maker) -> bool:
    """Whether the tables are replaced, as the source runs: hints may have been changed since it
    was made, and tables left out.

    Raises:
        ConfigError: a table is left out, or is to be written in another way than the sessions.
    """
    resources = dlt.current.source().resources
    ways = {}
    for name in (STREAM, *map(child_table, maker.children)):
        if name not in resources.selected:
            # The bookmarks would move past what was not loaded.
            raise ConfigError("child_tables", f"{name} is left out: one mark holds for all tables")
        way: Any = resources[name].write_disposition
        ways[name] = way.get("disposition") if isinstance(way, dict) else way
    if len({str(way) for way in ways.values()}) > 1 or callable(ways[STREAM]):
        raise ConfigError("write_disposition", "must be the same for all tables, and no function")
    return bool(ways[STREAM] == "replace")


@contextmanager
def _known_differences() -> Iterator[None]:
    """Without dlt's warning, for each window anew, that JSON columns come as texts."""
    logger = logging.getLogger("dlt")

    def is_new(record: logging.LogRecord) -> bool:
        return "when merging arrow schema with dlt schema" not in record.getMessage()

    logger.addFilter(is_new)
    try:
        yield
    finally:
        logger.removeFilter(is_new)
