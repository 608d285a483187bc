"""Some of the latest sessions of an account, asked for as a read asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec

from tap_visitor_sessions.api import ApiError, TapError, without_odd_tokens
from tap_visitor_sessions.config import excluded_members, record_schema, without
from tap_visitor_sessions.sessions import (
    METHOD,
    SECOND,
    Columns,
    Connection,
    Decoder,
    Fields,
    Query,
    User,
    Window,
)

LOOK_BACK = (timedelta(days=7), timedelta(days=85))
"""How far back a sample session is looked for, first try and last."""
SIZE = 5
"""Sessions that are looked at."""

Raw = memoryview | bytes


@dataclass
class Sample:
    """Sessions that were looked at.

    Attributes:
        user: The partner's user as whom they were asked for; None for a customer's account.
        query: What they were asked with.
        window: The span they are of.
        back: Its length.
        now: What the account's wall clock showed.
        schema: A record's JSON Schema.
        decoder: Decodes raw rows of this account.
        fields: The columns that the account gives.
        refusals: Those that it refuses to give, and how.
        data: The raw rows.
        total: How many sessions the span has.
    """

    user: User | None
    query: Query
    window: Window
    back: timedelta
    now: datetime
    schema: dict[str, Any]
    decoder: Decoder
    fields: Fields
    refusals: list[tuple[Sequence[str], ApiError]] = field(default_factory=list)
    data: Raw = b"[]"
    total: int = 0

    @cached_property
    def rows(self) -> list[Any]:
        """The sessions as JSON has them; none where they cannot be read."""
        try:
            return rows_of(self.data)
        except (ValueError, RecursionError):
            return []

    @cached_property
    def times(self) -> list[datetime]:
        """Their wall-clock times, in the order they came; none where one cannot be read."""
        return self.times_of(self.data)

    def times_of(self, data: Raw) -> list[datetime]:
        """The wall-clock times of raw rows; none where one cannot be read."""
        try:
            return self.decoder.times(data)
        except (TapError, msgspec.MsgspecError):
            return []


class Looking:
    """Looks at sessions of one account after the other.

    Args:
        size: At so many.
    """

    def __init__(self, connection: Connection, size: int = SIZE) -> None:
        self._connection = connection
        self._size = size
        settings = connection.settings
        whole = record_schema(is_partner=settings.is_partner, has_account=False)
        self._schema = without(whole, settings.exclude_columns)
        self.sample: Sample | None = None
        """The last one; where it could not be had, without sessions."""

    def look(self, user: User | None) -> Sample:
        """Some of the latest sessions.

        Raises:
            TapError: they could not be had.
        """
        connection, settings = self._connection, self._connection.settings
        columns = Columns(list(self._schema["properties"]))
        zone = connection.account.timezone(user).zone
        extra = {name: getattr(user, name) for name in columns.added}
        refusals: list[tuple[Sequence[str], ApiError]] = []
        # Asked for as a read does: a column that is refused costs that column.
        fields = Fields(columns.asked, tell=lambda names, why: refusals.append((names, why)))
        decoder = Decoder(
            self._schema, zone, extra, excluded=excluded_members(settings.exclude_columns)
        ).of_account(zone, extra, lambda: fields.left_out)
        query = Query(columns.asked, self._size, settings.filter, user.user_id if user else None)
        now = zone.last_wall(settings.now - connection.client.clock_lead())
        for back in LOOK_BACK:
            window = Window(now - back, now + SECOND)
            sample = self.sample = Sample(
                user, query, window, back, now, self._schema, decoder, fields, refusals
            )
            params = query.params(window)
            answer = fields.ask(
                lambda names, params=params, **more: connection.client.call(
                    METHOD, {**params, "fields": list(names), **more}
                )
            )
            sample.data, sample.total = answer.data, answer.total_items or 0
            if sample.total:
                break
        return sample


def rows_of(data: Raw) -> list[Any]:
    """Raw rows as JSON has them."""
    rows: list[Any] = json.loads(without_odd_tokens(bytes(data)), parse_int=_whole)
    return rows


def _whole(digits: str) -> int | float:
    """A number, of whatever length."""
    try:
        return int(digits)
    except ValueError:
        return float("inf")
