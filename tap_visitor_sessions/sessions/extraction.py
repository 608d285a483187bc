"""The seam between the core and its hosts: sessions, from settings, columns and former bookmarks.

A host hands in what is wanted and how far former runs came. It takes the windows of each part (an
account, or a partner's user), complete, sorted and prepared by its own function, reports what it
has written, and saves the bookmarks that come of it. It knows no pages, zones and clocks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, partial
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from tap_visitor_sessions.api import ApiError, TapError, Unreadable
from tap_visitor_sessions.config import (
    ACCOUNT,
    ADDED,
    BOOKMARK,
    KEY,
    excluded_members,
    record_schema,
    without,
)
from tap_visitor_sessions.sessions.accounts import (
    Connection,
    Failures,
    User,
    Users,
    is_customers,
)
from tap_visitor_sessions.sessions.bookmarks import Positions, StreamState
from tap_visitor_sessions.sessions.customer_zones import CustomerZones
from tap_visitor_sessions.sessions.days import Calendar, Sum, Tally
from tap_visitor_sessions.sessions.identity import check_identity
from tap_visitor_sessions.sessions.ledger import Ledger, WriteDays
from tap_visitor_sessions.sessions.progress import SUMMARY, Progress, drawn
from tap_visitor_sessions.sessions.records import Decoder, Hasher, Record, Warnings
from tap_visitor_sessions.sessions.refusals import Refusals
from tap_visitor_sessions.sessions.windows import Pipeline, Query, Shared, Span, Taken, WindowReader
from tap_visitor_sessions.sessions.zones import UTC, Timezone, Zone

logger = logging.getLogger("tap-visitor-sessions.extraction")

RETRIED_BESIDE_OTHERS = 600.0
"""Seconds after which a request of a customer is given up while others wait."""
GONE = "not among your customers any more"
SAMPLE = 500
"""Rows asked per request where a record or a few are enough."""

KEYS = (KEY, BOOKMARK)
Stretches = Sequence[tuple[datetime, datetime]]

T = TypeVar("T")


class _Prepared(NamedTuple):
    """A window's records as the host wants them, and by day."""

    ready: Any
    tally: Tally | None


Prepare = Callable[[list[Record]], T]


@dataclass(frozen=True)
class Columns:
    """What a record holds, by name.

    Attributes:
        names: Its columns, in their order.
        texts: Numbers that are wanted as texts, by the names from the column on: whatever comes
            there is kept as it is spelled.
        without: Members that are not wanted, such as `hits.hit_url`.
    """

    names: Sequence[str]
    texts: Sequence[Sequence[str]] = ()
    without: Sequence[str] = ()

    @property
    def asked(self) -> list[str]:
        """The columns that the API is asked for."""
        return [name for name in self.names if name not in ADDED]

    @property
    def added(self) -> list[str]:
        """Those that come from elsewhere."""
        return [name for name in self.names if name in ADDED]


class Part(Generic[T]):
    """An account as it is read.

    Attributes:
        user: The partner's user; None for a customer's account.
    """

    def __init__(
        self,
        extraction: Extraction,
        pipeline: Pipeline[User | None, _Prepared],
        refusals: Refusals,
        user: User | None,
    ) -> None:
        self.user = user
        self._refusals = refusals
        self._extraction = extraction
        self._pipeline = pipeline

    def windows(self) -> Iterator[Taken[T]]:
        """Its windows, front to back: all of them, or an error; or, where a run goes on without a
        customer that fails, those before the error.

        Raises:
            TapError: the run ends here.
        """
        pipeline, progress = self._pipeline, self._extraction.progress
        positions, failures = self._extraction.positions, self._extraction.failures
        problem = yield from self._taken()
        while problem is not None and (other := self._extraction.stand_in(self.user, problem)):
            positions.replaced(self.user)
            self.user = other
            problem = yield from self._taken(is_extra=True)
        if problem is None and self._extraction.ledger.recheck.is_on:
            problem = yield from self._again()
        if problem is None or is_customers(problem):
            positions.take_turn(self.user)  # whatever is not its fault costs it none
        if problem is None:
            failures.passed()
            positions.completed(self.user)
        elif self.user is None:
            raise problem
        else:
            failures.note(str(self.user), problem)
        self._extraction.zones.read(self.user)
        progress.windows, progress.share = pipeline.windows, 0.0
        progress.parts_done += 1

    def _again(self) -> Generator[Taken[T], None, TapError | None]:
        """The windows of past days that differ from what was read, and an error that ended them."""
        ledger, user = self._extraction.ledger, self.user
        found = self._extraction.rechecked(user)
        while True:
            try:
                with readable():
                    stretches = next(found, None)
            except TapError as problem:
                return problem
            if stretches is None:
                ledger.recheck.completed(user)
                return None
            ledger.opened_again(user, stretches)
            ended = yield from self._taken(is_extra=True)
            if ended is not None:
                return ended

    def _taken(self, *, is_extra: bool = False) -> Generator[Taken[T], None, TapError | None]:
        """The windows, and the error that ended them."""
        pipeline, progress = self._pipeline, self._extraction.progress
        positions = self._extraction.positions
        taken = None
        try:
            with readable():
                for taken in pipeline.read(self.user, is_extra=is_extra):
                    progress.share, progress.windows = pipeline.share, pipeline.windows
                    positions.refused(self.user, self._refusals.columns(self.user))
                    if taken.ready is None:
                        yield Taken(None, taken.until)
                    else:
                        self._extraction.ledger.take(self.user, taken.ready.tally)
                        yield Taken(taken.ready.ready, taken.until)
                if taken is not None:
                    yield Taken(None, taken.until, ends=True)
        except TapError as problem:
            return problem
        return None

    def emitted(
        self, date_time: datetime, sessions: int = 1, *, whole_second: bool = False
    ) -> None:
        """So many more have been written: all up to the one of this `date_time`.

        Args:
            whole_second: Whether all of its second are among them.
        """
        ledger, positions = self._extraction.ledger, self._extraction.positions
        ledger.emitted(self.user, date_time, sessions)  # before the bookmarks pass a day
        self._extraction.progress.sessions += sessions
        if ledger.is_again(self.user):
            return
        positions.emitted(self.user, date_time, whole_second=whole_second)
        if ledger.is_on and whole_second:
            positions.counted(self.user, ledger.begun(self.user))

    def finished(self, taken: Taken[T]) -> None:
        """All of a window, and of those before it, has been written."""
        ledger, positions = self._extraction.ledger, self._extraction.positions
        ledger.finished(self.user, taken.until)
        if ledger.is_again(self.user):
            return
        positions.finished(self.user, taken.until)
        if ledger.is_on:
            positions.counted(self.user, ledger.begun(self.user))


class Extraction:
    """One read of the sessions of all accounts.

    Args:
        state: What former runs say; it is kept up to date as the bookmarks move.
        incremental: Whether it goes on from there; else all is read afresh.
        looks_back: Whether it re-reads the look-back before where they ended; else no session
            comes again that a state stands for.
        announces_version: Whether the loader is told afterwards to drop all that it did not bring.
        sample: Whether a record or a few are enough.
        write_days: Takes the rows of `visitor_session_days` as their days have been read, to write
            them at once; None where the stream is not selected.

    Attributes:
        warnings: Warnings of odd values, and how many were lost.
    """

    def __init__(
        self,
        connection: Connection,
        state: StreamState,
        *,
        incremental: bool = True,
        looks_back: bool = True,
        announces_version: bool = False,
        sample: bool = False,
        write_days: WriteDays | None = None,
    ) -> None:
        settings = connection.settings
        self._connection = connection
        self._settings = settings
        self._state = state
        self._is_sample = sample
        self._refused: set[int] = set()  # users without the right to the report
        self._page_size = min(settings.page_size, SAMPLE) if sample else settings.page_size
        self._concurrency = 1 if sample else settings.concurrency
        self.on_idle: Callable[[], object] = lambda: None
        """Called by the thread that takes the windows when it has waited for some seconds: time
        to save how far what has been written goes, since the wait may be for a day's points."""
        self.progress = Progress()
        self.warnings = Warnings()
        self.zones = CustomerZones(connection, state)
        self.failures = Failures(skips=settings.skips_customers)
        self.ledger = Ledger(settings, write_days, state, rereads=looks_back, remembers=not sample)
        self._readers: dict[User | None, WindowReader[_Prepared]] = {}
        self._sums: Callable[[User | None, Stretches], dict[date, Sum]]
        self._again: dict[User | None, Stretches] = {}
        self.positions = Positions(
            settings,
            state,
            incremental=incremental,
            looks_back=looks_back,
            announces_version=announces_version,
            clock_lead=connection.client.clock_lead,
            counts_days=self.ledger.is_on,
        )

    @cached_property
    def users(self) -> list[User | None]:
        """The parts in the order in which they are read: a partner's users, or None alone."""
        if not self._settings.is_partner:
            return [None]
        users = self._found
        for who, reason in users.missing.items():
            self.failures.missing(who, reason)
        if not users.read:
            logger.warning(
                "No customer is read: the API lists none that can be, or the settings leave out all"
            )
        return [*self.positions.in_turn(users.read)]

    @cached_property
    def _found(self) -> Users:
        return self._connection.account.users(self.positions.known)

    def stand_in(self, user: User | None, problem: TapError) -> User | None:
        """Another user of a customer, in place of one who has no right to its sessions."""
        if user is None or not isinstance(problem, ApiError) or problem.mnemonic != "forbidden":
            return None
        self._refused.add(user.user_id)
        for other in user.others(self._settings.user_ids):
            if other.user_id not in self._refused:
                logger.warning("%s: read as user %d instead: %s", user, other.user_id, problem)
                return other
        return None

    def unread(self) -> dict[str, str]:
        """Partner: the customers that this run cannot read, though no setting leaves them out,
        each with the reason: their rows must stay in the table."""
        if not self._settings.is_partner:
            return {}
        unread = dict(self._found.unread)
        if not self._found.read:
            unread["all customers"] = "none has been read"
        if self._settings.user_ids is None:
            customers = self._connection.account.customers()
            gone = self.positions.known_customers - {one.customer_id for one in customers}
            for customer_id in sorted(gone - set(self._settings.exclude_customer_ids)):
                unread[f"customer {customer_id}"] = GONE
            users = {user_id for one in customers for user_id in one.users}
            for user_id in sorted(self.positions.users_of_unknown - users):
                unread[f"user {user_id}"] = GONE
        return unread

    @contextmanager
    def run(self) -> Iterator[None]:
        """What surrounds a read: a line on a terminal, at the end a summary.

        Raises:
            CustomersFailed: all has been read but some customers.
        """
        client = self._connection.client
        try:
            with drawn(self.progress, client.pacer.left), readable():
                if not self._is_sample:
                    check_identity(self._connection, self._state)
                self.progress.parts = len(self.users)
                yield
        finally:
            figures = self.figures()
            self.warnings.report_undeclared()
            self.zones.end()
            self.positions.end()
            if losses := self.warnings.losses:
                lost = ", ".join(f"{path} {count}" for path, count in losses.items())
                logger.warning("Values that could not be read and are left out: %s", lost)
            logger.info(SUMMARY, figures, extra={"summary": figures})
        self.failures.end()

    @contextmanager
    def parts(
        self, columns: Columns, prepare: Prepare[T], users: Sequence[User | None] | None = None
    ) -> Iterator[Iterator[Part[T]]]:
        """The parts, to be read one wholly after the other.

        Args:
            prepare: Makes finished records ready for the host, in the thread that fetched them.
            users: Those to read; else all.
        """
        chosen = self.users if users is None else users
        asked, added, schema = columns.asked, columns.added, self._schema_of(columns)
        extra = dict.fromkeys(added)
        self.ledger.check_columns(columns.names)
        excluded = excluded_members([*self._settings.exclude_columns, *columns.without])
        decoder = Decoder(schema, Zone(UTC), extra, self.warnings, excluded)
        hashed = prepare
        if self._settings.hash_key is not None:
            hasher = Hasher(self._settings.hash_columns, self._settings.hash_key, schema)

            def hashed(records: list[Record]) -> T:
                return prepare(hasher.hash(records))

        client = self._connection.client
        shared = Shared(self._page_size, concurrency=self._concurrency, stop=self._connection.stop)
        client.pausing, client.patience = shared.in_flight.paused, self._patience
        refusals = Refusals(asked, self._settings.now, shared.in_flight.paused)
        order = count()

        def span_of(user: User | None) -> Span[_Prepared]:
            if (again := self._again.pop(user, None)) is not None:
                return Span(self._readers[user], again)
            timezone = self._timezone(user)
            reading = self.positions.opened(user, timezone)
            self.ledger.opened(user, timezone, reading)

            def prepared(records: list[Record]) -> _Prepared:
                tally = self.ledger.tally(user, records)  # before the host changes them
                return _Prepared(hashed(records), tally)

            values = {
                name: self._settings.account if name == ACCOUNT else getattr(user, name, None)
                for name in added
            }
            fields = refusals.fields(user, reading.bookmarks)
            self._readers[user] = reader = WindowReader(
                client.call,
                decoder.of_account(timezone.zone, values, lambda: fields.left_out),
                Query(
                    asked,
                    self._page_size,
                    self._settings.filter,
                    user.user_id if user else None,
                ),
                prepared,
                shared,
                fields=fields,
                order=next(order),
            )
            return Span(reader, reading.stretches)

        pipe = Pipeline(
            chosen,
            span_of,
            self._concurrency,
            self.positions.take_turn,
            lambda user: self.zones.is_known(user, self._former(user)),
            lambda: self.on_idle(),
            client.pacer.is_scarce,
        )
        self.zones.join = shared.in_flight.join

        def each() -> Iterator[Part[T]]:
            yield from (Part(self, pipe, refusals, user) for user in chosen)
            self.zones.end()  # before the host writes its last state
            self.keep_days()

        def sums(user: User | None, stretches: Stretches) -> dict[date, Sum]:
            """The sessions of some stretches by day, from their ids alone."""
            timezone = self._timezone(user)
            keys = Decoder({"properties": {n: schema["properties"][n] for n in KEYS}}, Zone(UTC))
            query = Query(
                KEYS, self._page_size, self._settings.filter, user.user_id if user else None
            )

            def tally(records: list[Record]) -> Tally:
                return Tally.of(records, Calendar(timezone.zone), with_digest=True)

            decoder = keys.of_account(timezone.zone, {})
            reader = WindowReader(client.call, decoder, query, tally, shared)
            found: dict[date, Sum] = {}
            ids: Pipeline[None, Tally] = Pipeline(
                [None], lambda _: Span(reader, stretches), self._concurrency
            )
            with closing(ids):
                for taken in ids.read(None):
                    for day, some in taken.ready.days if taken.ready else ():
                        found[day] = found.get(day, Sum()) + some
            return found

        self._sums = sums
        try:
            with closing(pipe):
                yield each()
        finally:
            self.keep_days()

    def rechecked(self, user: User | None) -> Iterator[Stretches]:
        """Past days of an account that are to be read again, which the next part then is."""
        count = self._readers[user].count
        sums = partial(self._sums, user)
        is_scarce = self._connection.client.pacer.is_scarce
        for stretches in self.ledger.recheck.stretches(user, count, sums, is_scarce):
            self._again[user] = stretches
            yield stretches

    def keep_days(self) -> None:
        """Put what is remembered of days into the state: it is about to be written for the last
        time."""
        self.ledger.recheck.end()

    def _patience(self) -> float:
        """For how long a request is tried again, in seconds, while other customers wait."""
        others = self.progress.parts - self.progress.parts_done - 1
        return RETRIED_BESIDE_OTHERS if others > 0 else float("inf")

    def _former(self, user: User | None) -> list[int]:
        """The users by whom former runs have read a user's customer."""
        return [one.user_id for one in self.positions.of_customer(user)] if user else []

    def _timezone(self, user: User | None) -> Timezone:
        if user is None:
            return self._connection.account.timezone()
        return self.zones.of(user, self._former(user))

    def _schema_of(self, columns: Columns) -> dict[str, Any]:
        """The JSON Schema of the columns as they are declared."""
        whole = record_schema(
            is_partner=self._settings.is_partner,
            has_account=self._settings.account is not None,
            is_whole=True,
        )
        for column, *members in columns.texts:
            node = whole["properties"][column]
            for member in members:
                node = node.get("items", node)["properties"][member]
            node.get("items", node)["type"] = ["string", "null"]
        chosen = {"properties": {name: whole["properties"][name] for name in columns.names}}
        return without(chosen, [*self._settings.exclude_columns, *columns.without])

    def figures(self) -> dict[str, Any]:
        """What it has done so far, and how far it came."""
        client = self._connection.client
        lost = {"values_lost": sum(self.warnings.losses.values())}
        return self.progress.figures() | client.figures() | lost | self.positions.reached()


@contextmanager
def readable() -> Iterator[None]:
    """An answer that is not what the API promises becomes an error of ours."""
    try:
        yield
    except msgspec.MsgspecError as problem:
        raise Unreadable(f"The API's answer cannot be read: {problem}") from None
