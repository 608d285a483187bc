"""The source as dlt wants it: Arrow tables out, the bookmarks in dlt's own state."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Literal

import dlt
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from tap_visitor_sessions.api import ConfigError
from tap_visitor_sessions.config import (
    ADDED,
    BOOKMARK,
    DAYS,
    KEY,
    STREAM,
    UNLESS_ASKED,
    Settings,
    core_settings,
    days_key,
    days_schema,
    emitted_schema,
    key_of,
    left_out,
    privacy_note,
)
from tap_visitor_sessions.dlt.configuration import OWN, Arguments, looked_up, own_settings
from tap_visitor_sessions.dlt.hints import child_hints, child_table, columns_of, days_hints
from tap_visitor_sessions.dlt.reading import FILES, Reading
from tap_visitor_sessions.dlt.tables import Maker

logger = logging.getLogger("tap-visitor-sessions.dlt")

EVERY = "*"
"""In `select`: all columns but those that come only when they are named."""


@dlt.source(name=STREAM, section=STREAM, spec=Arguments)
@looked_up
def visitor_sessions(
    access_token: TSecretStrValue | None = None,
    login: TSecretStrValue | None = None,
    password: TSecretStrValue | None = None,
    api_url: str | None = None,
    start_date: str = dlt.config.value,
    end_date: str | None = None,
    timezone: str | None = None,
    lookback_window: str | None = None,
    recheck_window: str | None = None,
    recheck_depth: Literal["count", "ids"] | None = None,
    filter: dict[str, Any] | None = None,  # as the setting is named in every host
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
    exclude_columns: list[str] | None = None,
    hash_columns: list[str] | None = None,
    hash_key: TSecretStrValue | None = None,
    *,
    select: list[str] | None = None,
    child_tables: bool = False,
) -> list[DltResource]:
    """Visitor sessions of a CallGear, CoMagic or UIS account, complete and in order.

    Each argument can come from dlt's configuration instead: `[sources.visitor_sessions]` in
    `config.toml` and `secrets.toml`, or `SOURCES__VISITOR_SESSIONS__ACCESS_TOKEN`. Texts there
    mean what they mean to the tap. None: not set.

    Args:
        access_token: Key of the Data API. Either it, or login and password.
        login: Login of a user with the right to the API.
        password: Password of `login`.
        api_url: Base URL of the account's brand; CallGear's unless set.
        start_date: First session wanted: ISO 8601, a date or a date and time; without an offset
            in the account's zone.
        end_date: Last session wanted, spelled likewise; a date alone is the whole day. Unless
            set: now.
        timezone: IANA name of the account's zone; asked from the API unless set, for a partner of
            each customer.
        lookback_window: How far before the bookmark a run reads again, as an ISO 8601 duration.
        recheck_window: How far back past days are counted again, as an ISO 8601 duration; those
            that differ are read again.
        recheck_depth: `count`, or `ids`, which notices changes that leave the number as it was.
        filter: The API's own filter: a condition, or a tree of them.
        page_size: Rows asked per request.
        concurrency: Requests in flight at once.
        request_timeout: Seconds to wait for an answer.
        max_retries: How often a request is repeated after a passing fault.
        on_daily_limit: When the day's points are used up, what has been read is loaded. `wait`: a
            run that has read nothing waits for the reset; `fail`: it raises.
        account: A name of yours for the account: a column, and a part of the key.
        account_type: `customer`, or `partner` for an agency's account.
        user_ids: Partner: the users to read on behalf of; unless set one of each customer.
        exclude_customer_ids: Partner: customers that are not read.
        on_customer_error: Partner: `skip` goes on without a customer that cannot be read, `fail`
            does not.
        customer_timezones: Partner: zones other than `timezone`, by the customer's id.
        timezones: Partner: zones other than these two, by the user's id.
        exclude_columns: Columns, and members of them, that are neither asked for nor loaded.
        hash_columns: Columns, and members of them, whose values are replaced by their hash.
        hash_key: Secret of the hashes.
        select: The columns wanted; else all but `read_at`, which `*` stands for. Key and bookmark
            always come.
        child_tables: Whether hits and communications are rows of tables of their own,
            `visitor_sessions__hits` and `visitor_sessions__communications`.

    Returns:
        The resource `visitor_sessions`: Arrow tables, merged on the key; those of the child
        tables; and `visitor_session_days`, which is off until `with_resources` names it beside the
        others. How far it has been read stands in the resource's state, which dlt keeps with what
        it has loaded.

    Raises:
        ConfigFieldMissingException: a required setting is nowhere.
        SettingsError: a setting cannot work.
        ConfigError: `select` names a column that there is not, or `child_tables` cannot work.
    """
    given = {name: value for name, value in locals().items() if name not in OWN}
    settings = core_settings({name: _plain(value) for name, value in given.items()})
    columns, apart = own_settings(select, child_tables)
    if apart and settings.account is not None:
        raise ConfigError("child_tables", "does not go with account: ids of two accounts may meet")
    schema = _selected(settings, columns)
    logger.info(privacy_note(schema, settings.hash_columns))
    key = key_of(settings)
    maker = Maker(schema, key, child_tables=apart)
    reading = Reading(settings, maker)

    def tables() -> Iterator[Any]:
        yield from reading.tables()

    how: dict[str, Any] = {"write_disposition": "merge", "file_format": FILES}
    columns_hint = columns_of(maker.schema, key)
    main = dlt.resource(tables, name=STREAM, primary_key=list(key), columns=columns_hint, **how)
    resources: list[DltResource] = [main]
    for column, child in maker.children.items():
        hints = {**how, **child_hints(child, key), "name": child_table(column)}
        resources.append(dlt.transformer(reading.members(column), data_from=main, **hints))
    of = {"is_partner": settings.is_partner, "has_account": settings.account is not None}
    days = dlt.transformer(
        reading.days(),
        data_from=main,
        name=DAYS,
        write_disposition="merge",
        selected=False,
        **days_hints(days_schema(**of), days_key(**of)),
    )
    return [*resources, days]


def _plain(value: Any) -> Any:
    """A value as JSON has it; a collection of Python's as a list."""
    if isinstance(value, date):
        return value.isoformat()
    return sorted(value) if isinstance(value, set | frozenset) else value


def _selected(settings: Settings, select: Sequence[str] | None) -> dict[str, Any]:
    """The JSON Schema of the columns wanted."""
    properties = emitted_schema(settings)["properties"]
    every = {name: one for name, one in properties.items() if name not in UNLESS_ASKED}
    if select is None:
        return {"properties": every}
    if EVERY in select:
        select = [*every, *(name for name in select if name != EVERY)]
    if unknown := sorted(set(select) - set(properties) - left_out(settings)):
        raise ConfigError("select", f"there are no columns {', '.join(unknown)}")
    wanted = {*select, KEY, BOOKMARK, *((ADDED - UNLESS_ASKED) & properties.keys())}
    return {"properties": {name: one for name, one in properties.items() if name in wanted}}
