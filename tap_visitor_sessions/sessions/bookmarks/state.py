"""The bookmarks as hosts save them. Pure: works on plain dicts.

A *progress* is what is saved of the stream, or of one of its partitions:

    {"replication_key": "date_time", "replication_key_value": "2024-05-01T00:00:00Z",
     "read": [["2024-01-01T00:00:00Z", "2024-05-02T00:00:00Z"]]}

A partition's has its `context` too, and we add the `customer_id` and `read_at`, when the customer
had its last turn. `timezone` is the zone of the account as it was read, `timezone_by` who said so
(`setting` or `api`), `loaded_under` what was loaded under zones corrected since: the zone, and up
to which time of the wall clock. `counted` stands there where days are counted: up to which instant,
how many sessions of its day, when the first were read, under which filter; `days` what a recheck
remembers. Members that we do not know stay as they are.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Literal

import pendulum

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config import BOOKMARK, is_zone
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.bookmarks.bookmarks import (
    Bookmarks,
    FormerState,
    Loaded,
    UserState,
    formatted,
    union,
)
from tap_visitor_sessions.sessions.days import Begun
from tap_visitor_sessions.sessions.zones import Timezone

logger = logging.getLogger("tap-visitor-sessions.state")

_VALUE = "replication_key_value"
_USER = "user_id"
_READ, _TURN, _CUSTOMER, _ACCOUNT = "read", "read_at", "customer_id", "account"
_ZONE, _ZONE_BY, _LOADED = "timezone", "timezone_by", "loaded_under"
_TOLD = "told_timezone"
_APP, _CREDENTIAL = "app_id", "credential"
_REFUSED = "refused_columns"
_BEGUN = "counted"
NO_ROWS = "no rows"
_DAYS = "days"
MEMBERS = frozenset(
    {
        *("replication_key", _VALUE, _READ, _TURN, _CUSTOMER, _ACCOUNT, "context", "partitions"),
        *(_ZONE, _ZONE_BY, _LOADED, _TOLD, _APP, _CREDENTIAL, _REFUSED, _BEGUN, _DAYS),
        # The SDK's, for a while.
        *("starting_replication_value", "replication_key_signpost", "progress_markers"),
    }
)
"""Whatever a progress of ours can have, a partition's too."""
HASH_ROUNDS = 100_000
_WALL = "%Y-%m-%d %H:%M:%S"
# East of Greenwich the first day of 1970, which start_date can name, begins before it.
_EARLIEST = datetime(1969, 12, 30, tzinfo=timezone.utc)
_ID = re.compile(r"\s*\d{1,18}\s*", re.ASCII)
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
            f"The state's {what} {shown[:60]} is not a date and time such as 2024-05-01T00:00:00Z: "
            f"{FIX}"
        )
    if instant < _EARLIEST:
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
        raise StateError(f"The state's member {_READ} is not a list of pairs: {FIX}")
    read = [(_instant(a, _READ), _instant(b, _READ)) for a, b in spans]
    for first, last in read:
        if last < first:
            raise StateError(
                f"The state's member {_READ} has a span that ends before it begins, "
                f"{formatted(first)} .. {formatted(last)}: {FIX}"
            )
    turn = progress.get(_TURN)
    return Bookmarks(
        bookmark,
        union(read),
        turn if isinstance(turn, str) else "",
        _refused(progress.get(_REFUSED)),
        _timezone(progress),
        tuple(sorted(_loaded(progress))),
        _begun(progress.get(_BEGUN)),
    )


def _refused(given: object) -> tuple[tuple[str, datetime], ...]:
    """Columns and when they were last refused. One that cannot be read is asked for again."""
    members = given.items() if isinstance(given, Mapping) else ()
    known = [(str(name), _parsed(at)) for name, at in members if isinstance(at, str)]
    return tuple((name, at) for name, at in known if at is not None)


def _begun(given: object) -> Begun | None:
    """What was counted of the last day. Where it cannot be read, the day is not taken for whole."""
    if isinstance(given, list) and len(given) in (4, 5):
        until, sessions, read_at, filter_hash, *more = given
        if type(sessions) is not int or sessions < 0:
            sessions = None
        first, last = (_parsed(one) if isinstance(one, str) else None for one in (until, read_at))
        if first and last:
            return Begun(first, sessions, last, filter_hash, has_rows=more != [NO_ROWS])
    return None


def without_days(progress: Progress) -> None:
    """The rows of days that former runs have written are not in the table any more."""
    partitions = progress.get("partitions")
    for one in (progress, *(partitions if isinstance(partitions, list) else ())):
        if not isinstance(one, dict):
            continue
        one.pop(_DAYS, None)  # counts without rows are none
        begun = one.get(_BEGUN)
        if isinstance(begun, list) and len(begun) == 4:
            one[_BEGUN] = [*begun, NO_ROWS]


def _timezone(progress: Mapping[str, Any]) -> Timezone | None:
    name = progress.get(_ZONE)
    if name in (None, ""):
        return None
    by: Literal["setting", "api"] = "api" if progress.get(_ZONE_BY) == "api" else "setting"
    return Timezone(_zone_name(name, _ZONE), by)


def _zone_name(name: object, what: str) -> str:
    if not is_zone(name):
        raise StateError(
            f"The state's {what} {str(name)[:60]!r} is not an IANA time zone such as "
            f"Europe/Moscow: {FIX}"
        )
    return str(name)


def _loaded(progress: Mapping[str, Any]) -> Iterator[Loaded]:
    try:
        for name, until in progress.get(_LOADED) or []:
            yield Loaded(_zone_name(name, _LOADED), datetime.strptime(until, _WALL))
    except (TypeError, ValueError):
        raise StateError(
            f"The state's member {_LOADED} is not a list of zones and times: {FIX}"
        ) from None


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
    if bookmarks.begun is not None:
        begun = bookmarks.begun
        until, read_at = formatted(begun.until), formatted(begun.read_at)
        no_rows = [] if begun.has_rows else [NO_ROWS]
        progress[_BEGUN] = [until, begun.sessions, read_at, begun.filter_hash, *no_rows]
    else:
        progress.pop(_BEGUN, None)
    if bookmarks.timezone is not None:
        progress[_ZONE], progress[_ZONE_BY] = bookmarks.timezone.name, bookmarks.timezone.by
    if bookmarks.loaded_under:
        progress[_LOADED] = [
            [one.timezone, f"{one.until:{_WALL}}"] for one in bookmarks.loaded_under
        ]
    else:
        progress.pop(_LOADED, None)


def partitions_of(progress: Mapping[str, Any]) -> list[UserState]:
    """A partner's partitions, those first that have been read the furthest.

    Raises:
        StateError: one of them cannot be what a former run has said.
    """
    partitions = progress.get("partitions") or []
    if not isinstance(partitions, list):
        raise StateError(f"The state's partitions are not a list: {FIX}")
    found: dict[int, UserState] = {}
    for partition in partitions:
        context = partition.get("context") if isinstance(partition, Mapping) else None
        if not isinstance(context, Mapping):
            raise StateError(f"The state has a partition without a context: {FIX}")
        if context.get(_USER) is None:
            continue  # another's; kept as it is
        user_id = _id(context[_USER], _USER)
        if user_id in found:
            raise StateError(f"The state has two partitions of user {user_id}: {FIX}")
        customer = partition.get(_CUSTOMER)
        customer_id = None if customer in (None, "") else _id(customer, _CUSTOMER)
        found[user_id] = UserState(user_id, customer_id, bookmarks_of(partition))
    never = datetime.min.replace(tzinfo=timezone.utc)
    return sorted(found.values(), key=lambda one: one.bookmarks.until or never, reverse=True)


def _id(value: object, member: str) -> int:
    """An id, however another tool has spelled it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_plain = isinstance(value, (str, int)) and not isinstance(value, bool)
    if not is_plain or not _ID.fullmatch(str(value)):
        shown = repr(value)[:60] if is_plain else type_name(value)
        raise StateError(f"The state has a partition whose {member} is {shown}, no id: {FIX}")
    return int(str(value))


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
    unknown = len(progress.get("partitions") or []) - len(known)
    if is_partner and unknown:
        warnings.append(f"The state has {unknown} partitions that name no user_id: passed over")
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
        account: The setting of that name.
        moved: Called whenever it has changed.
        keeps_bookmark: Whether a bookmark stays as it is, unless it stands for nothing any more.
        is_checked: Whether its warnings have been said.

    Raises:
        StateError: it cannot be used.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        is_partner: bool,
        account: str | None,
        moved: Callable[[], None] = lambda: None,
        keeps_bookmark: bool = False,
        is_checked: bool = False,
    ) -> None:
        self.progress = progress
        self._days: dict[int | None, Any] = {}
        self._moved = moved
        self._with_bookmark = not keeps_bookmark
        found = check_progress(progress, is_partner=is_partner, account=account)
        for line in () if is_checked else found:
            logger.warning("%s", line)
        self.former: FormerState = former_state(progress)
        for partition in self._partitions():
            context = partition["context"]
            context[_USER] = _id(context[_USER], _USER)
        if account is not None:
            progress[_ACCOUNT] = account

    def keep(self, user: User | None, bookmarks: Bookmarks) -> None:
        """Put the bookmarks of an account into it."""
        progress = self.progress
        if user is not None:
            progress = self._partition(user)
        write_bookmarks(progress, bookmarks, with_bookmark=self._with_bookmark)
        self._moved()

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

    def keep_only(self, users: Collection[int]) -> None:
        """Forget the bookmarks of all users but these."""
        gone = [one for one in self._partitions() if one["context"][_USER] not in users]
        if gone:
            self.progress["partitions"] = [
                one for one in self.progress["partitions"] if one not in gone
            ]
            self._moved()

    def _partitions(self) -> Iterator[Progress]:
        """The partitions that are of users."""
        for partition in self.progress.get("partitions") or []:
            if partition["context"].get(_USER) is not None:
                yield partition

    def _partition(self, user: User) -> Progress:
        """That of a user, with the customer's id, so that a successor of the user finds it."""
        for partition in self._partitions():
            if partition["context"][_USER] == user.user_id:
                break
        else:
            partition = {"context": {_USER: user.user_id}}
            self.progress.setdefault("partitions", []).append(partition)
        partition[_CUSTOMER] = user.customer_id
        return partition

    # What is remembered of days: large, so it is there at the end of a run alone

    def take_days(self) -> None:
        """Take them out, to be put back."""
        self._days = {
            user: progress.pop(_DAYS)
            for user, progress in [(None, self.progress), *self._by_user()]
            if _DAYS in progress
        }

    def days_of(self, user: User | None) -> Any:
        """Those of an account, or of another user of the same customer; None where none are."""
        if user is None or user.user_id in self._days:
            return self._days.get(user.user_id if user else None)
        its = [
            one for one, progress in self._by_user() if progress.get(_CUSTOMER) == user.customer_id
        ]
        return next((self._days[one] for one in its if one in self._days), None)

    def keep_days(self, user: User | None, days: list[Any] | None) -> None:
        """Those of an account from here on, and of no other user of the same customer."""
        if user is not None:
            for one, progress in self._by_user():
                if progress.get(_CUSTOMER) == user.customer_id:
                    self._days.pop(one, None)
        self._days[user.user_id if user else None] = days

    def put_days(self) -> None:
        """Put them in."""
        for user, progress in [(None, self.progress), *self._by_user()]:
            if self._days.get(user) is not None:
                progress[_DAYS] = self._days[user]
        self._moved()

    def _by_user(self) -> list[tuple[int | None, Progress]]:
        return [(one["context"][_USER], one) for one in self._partitions()]

    # What the API says of a customer's zone

    def told_zone(self, customer_id: int) -> tuple[str, str]:
        """The zone that the API says a customer has, and when it was asked, as a turn is formatted;
        "" and "" where it has not been asked."""
        for partition in self._partitions():
            told = partition.get(_TOLD)
            is_its = partition.get(_CUSTOMER) == customer_id
            if is_its and isinstance(told, list) and len(told) == 2:
                return str(told[0]), str(told[1])
        return "", ""

    def note_zone(self, user: User, name: str, asked_at: str) -> None:
        """Note what the API has said of the zone of a user's customer."""
        for partition in self._partitions():
            if partition.get(_CUSTOMER) == user.customer_id:
                partition.pop(_TOLD, None)
        self._partition(user)[_TOLD] = [name, asked_at]
        self._moved()

    # Whose state it is

    @property
    def app_id(self) -> str:
        """The vendor's id of the account whose bookmarks they are; "" where it is not known."""
        return str(self.progress.get(_APP) or "")

    @property
    def has_credential(self) -> bool:
        """Whether the account has been asked for before."""
        return bool(self.progress.get(_CREDENTIAL))

    def is_of(self, credential: str) -> bool:
        """Whether the account has last been read with this login or key."""
        kept = self.progress.get(_CREDENTIAL)
        salt = kept.partition(":")[0] if isinstance(kept, str) else ""
        return bool(salt) and kept == _salted(credential, salt)

    def name(self, app_id: str, credential: str) -> None:
        """Note whose bookmarks they are, and with which login or key it was found out."""
        if app_id:
            self.progress[_APP] = app_id
        self.progress[_CREDENTIAL] = _salted(credential, secrets.token_hex(16))
        self._moved()


def _salted(credential: str, salt: str) -> str:
    """A hash that tells two credentials apart and gives none away."""
    made = hashlib.pbkdf2_hmac("sha256", credential.encode(), salt.encode(), HASH_ROUNDS)
    return f"{salt}:{made.hex()}"


def type_name(value: object) -> str:
    """What a value is, for a message."""
    kinds = {str: "a text", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), type(value).__name__)
