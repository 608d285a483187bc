"""The bookmarks as hosts save them. Pure: works on plain dicts.

A *progress* is what is saved of the stream, or of one of its partitions:

    {"replication_key": "date_time", "replication_key_value": "2024-05-01T00:00:00Z",
     "read": [["2024-01-01T00:00:00Z", "2024-05-02T00:00:00Z"]]}

A partition's has its `context` too, and we add the `customer_id` and `read_at`, when the customer
had its last turn. Members that we do not know stay as they are.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pendulum

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config import BOOKMARK
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.bookmarks.bookmarks import (
    Bookmarks,
    FormerState,
    UserState,
    formatted,
    union,
)

logger = logging.getLogger("tap-visitor-sessions.state")

_VALUE = "replication_key_value"
_READ, _TURN, _CUSTOMER, _ACCOUNT = "read", "read_at", "customer_id", "account"
_REFUSED = "refused_columns"
MEMBERS = frozenset(
    {
        *("replication_key", _VALUE, _READ, _TURN, _CUSTOMER, _ACCOUNT, "context", "partitions"),
        *("timezone", "timezone_by", "app_id", "credential", _REFUSED),
        # The SDK's, for a while.
        *("starting_replication_value", "replication_key_signpost", "progress_markers"),
    }
)
"""Whatever a progress of ours can have, a partition's too."""
_FORM = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?")
ALL_IS_READ = "everything from start_date on is read"
FIX = "correct it, take the STATE before it, or start without a state"

Progress = dict[str, Any]


class StateError(TapError):
    """A state that cannot be used."""


def _instant(value: object, what: str) -> datetime:
    """An instant (aware, UTC, whole seconds); without an offset it is in UTC."""
    instant = _parsed(value) if isinstance(value, str) else None
    if instant is None:
        shown = repr(value) if isinstance(value, (str, int, float)) else type_name(value)
        raise StateError(
            f"The state's {what} {shown[:60]} is no date and time such as 2024-05-01T00:00:00Z: "
            f"{FIX}"
        )
    if instant.timestamp() < 0:
        raise StateError(f"The state's {what} {value!r} lies before 1970: {FIX}")
    return instant


def _parsed(text: str) -> datetime | None:
    text = re.sub(r"\s(?=[Z+-])", "", text.strip().upper())
    if not _FORM.fullmatch(text):
        return None
    try:
        parsed = pendulum.parse(text)
        assert isinstance(parsed, pendulum.DateTime)
        return datetime.fromtimestamp(int(parsed.timestamp()), timezone.utc)
    except (ValueError, OverflowError):
        return None


def bookmarks_of(progress: Mapping[str, Any]) -> Bookmarks:
    """The bookmarks of a former run.

    Raises:
        StateError: a value in it is no date and time.
    """
    value = progress.get(_VALUE)
    bookmark = None if value in (None, "") else _instant(value, "bookmark")
    spans = progress.get(_READ) or []
    if not isinstance(spans, list) or not all(
        isinstance(span, list) and len(span) == 2 for span in spans
    ):
        raise StateError(f"The state's member {_READ} is no list of pairs: {FIX}")
    read = union((_instant(a, _READ), _instant(b, _READ)) for a, b in spans)
    turn = progress.get(_TURN)
    return Bookmarks(
        bookmark, read, turn if isinstance(turn, str) else "", _refused(progress.get(_REFUSED))
    )


def _refused(given: object) -> tuple[tuple[str, datetime], ...]:
    """Columns and when they were last refused. One that cannot be read is asked for again."""
    members = given.items() if isinstance(given, Mapping) else ()
    known = [(str(name), _parsed(at)) for name, at in members if isinstance(at, str)]
    return tuple((name, at) for name, at in known if at is not None)


def write_bookmarks(
    progress: Progress, bookmarks: Bookmarks, *, with_bookmark: bool = True
) -> None:
    """Put bookmarks in place of those that a progress holds.

    Args:
        with_bookmark: Else a bookmark stays as it is, unless the bookmarks have none.
    """
    if bookmarks.bookmark is None:
        progress.pop(_VALUE, None)
    elif with_bookmark:
        progress["replication_key"] = BOOKMARK
        progress[_VALUE] = formatted(bookmarks.bookmark)
    if bookmarks.read:
        progress[_READ] = [[formatted(start), formatted(end)] for start, end in bookmarks.read]
    if bookmarks.turn:
        progress[_TURN] = bookmarks.turn
    if bookmarks.refused:
        progress[_REFUSED] = {name: formatted(at) for name, at in bookmarks.refused}
    else:
        progress.pop(_REFUSED, None)


def partitions_of(progress: Mapping[str, Any]) -> list[UserState]:
    """A partner's partitions, those first that have been read the furthest.

    Raises:
        StateError: one of them cannot be what a former run has said.
    """
    partitions = progress.get("partitions") or []
    if not isinstance(partitions, list):
        raise StateError(f"The state's partitions are no list: {FIX}")
    found: dict[int, UserState] = {}
    for partition in partitions:
        context = partition.get("context") if isinstance(partition, Mapping) else None
        if not isinstance(context, Mapping):
            raise StateError(f"The state has a partition without a context: {FIX}")
        user_id = context.get("user_id")
        if user_id is None:
            continue  # another's; kept as it is
        if user_id in found:
            raise StateError(f"The state has two partitions of user {user_id}: {FIX}")
        found[user_id] = UserState(user_id, partition.get(_CUSTOMER), bookmarks_of(partition))
    never = datetime.min.replace(tzinfo=timezone.utc)
    return sorted(found.values(), key=lambda one: one.bookmarks.until or never, reverse=True)


def former_state(progress: Mapping[str, Any]) -> FormerState:
    """What former runs say of the stream."""
    return FormerState(bookmarks_of(progress), partitions_of(progress))


def check_progress(
    progress: Mapping[str, Any], *, is_partner: bool, account: str | None
) -> list[str]:
    """What a user should know of what is saved before a run builds on it: a line each.

    Args:
        account: The setting of that name.

    Raises:
        StateError: something in it cannot be what a former run has said.
    """
    known = partitions_of(progress)
    own = bookmarks_of(progress)
    all_ = [own, *(one.bookmarks for one in known)]
    warnings = []
    if is_partner and not known and own.until:
        warnings.append(f"The state is of a customer's account, not of a partner's: {ALL_IS_READ}")
    elif not is_partner and known and not own.until:
        warnings.append(f"The state is of a partner's account, not of a customer's: {ALL_IS_READ}")
    if (its := progress.get(_ACCOUNT)) != account:
        if its is not None:
            raise StateError(
                f"The state is of account {its!r}, the setting account is {account!r}: {FIX}"
            )
        if own.until or known:
            raise StateError(
                f"The state is of loads without the setting account, now {account!r}: their rows "
                "have no account, and would stay beside the same sessions with one. Take the "
                "setting away, or load anew without a state, into a table of its own"
            )
    now = datetime.now(timezone.utc)
    ahead = [one.bookmark for one in all_ if one.bookmark and one.bookmark > now]
    if ahead:
        whose = f" ({len(ahead)} of them)" if len(ahead) > 1 else ""
        warnings.append(
            f"The state's bookmark {formatted(max(ahead))} lies in the future{whose}: the run "
            "reads from now less lookback_window, and goes on from there. Check the clock of this "
            "machine and the setting timezone; sessions before may be missing"
        )
    return warnings


class StreamState:
    """What has been saved of the stream; changed in place as bookmarks move.

    Args:
        progress: That of the stream, with its partitions; empty before the first run.

    Raises:
        StateError: it cannot be used.
    """

    def __init__(self, progress: Progress, *, is_partner: bool, account: str | None) -> None:
        self.progress = progress
        for line in check_progress(progress, is_partner=is_partner, account=account):
            logger.warning("%s", line)
        self.former: FormerState = former_state(progress)
        name_account(progress, account)

    def keep(self, user: User | None, bookmarks: Bookmarks) -> None:
        """Put the bookmarks of an account into it."""
        progress = self.progress
        if user is not None:
            progress = self._partition(user.user_id)
            name_customer(progress, user.customer_id)
        write_bookmarks(progress, bookmarks)

    @property
    def moved(self) -> bool:
        """Whether more has been read than former runs had: a next run has less to read."""
        now = former_state(self.progress)
        before = {None: self.former.own} | {one.user_id: one.bookmarks for one in self.former.known}
        after = {None: now.own} | {one.user_id: one.bookmarks for one in now.known}
        return any(
            bookmarks.until is not None and bookmarks.is_further_than(before.get(user, Bookmarks()))
            for user, bookmarks in after.items()
        )

    def _partition(self, user_id: int) -> Progress:
        partitions: list[Progress] = self.progress.setdefault("partitions", [])
        for partition in partitions:
            if partition["context"].get("user_id") == user_id:
                return partition
        partitions.append({"context": {"user_id": user_id}})
        return partitions[-1]


def name_customer(progress: Progress, customer_id: int) -> None:
    """Note whose bookmarks a partition holds, so that a successor of its user finds them."""
    progress[_CUSTOMER] = customer_id


def name_account(progress: Progress, account: str | None) -> None:
    """Note whose bookmarks the stream's state holds, where the user has given it a name."""
    if account is not None:
        progress[_ACCOUNT] = account


def type_name(value: object) -> str:
    """What a value is, for a message."""
    kinds = {str: "a text", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), type(value).__name__)
