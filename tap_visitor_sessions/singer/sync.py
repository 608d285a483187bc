"""What a sync reads, and the bookmarks that come of it: in the SDK's state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from singer_sdk.metrics import http_request_counter

from tap_visitor_sessions.config import STREAM
from tap_visitor_sessions.sessions import (
    METHOD,
    Columns,
    Connection,
    Extraction,
    Part,
    Record,
    StreamState,
    User,
    Warnings,
)

Context = Mapping[str, Any]
"""Which partition, as the SDK names it."""
T = TypeVar("T")


def context_of(user: User | None) -> dict[str, Any] | None:
    """The partition of a partner's user; None for a customer's account."""
    return None if user is None else {"user_id": user.user_id}


class Reading:
    """One read of the stream.

    Args:
        progress: The SDK's state of the stream, to be changed in place.
        moved: Called when bookmarks have moved: the state waits to be written.
        incremental: Whether it goes on where former runs ended.
        announces_version: Whether the loader is told afterwards to drop all that it did not bring.
        sample: Whether a record or a few are enough.
        write_days: Writes rows of `visitor_session_days`; None where they are not selected.
        idle: Called when it has waited for some seconds, as for points: time to write the state.
    """

    def __init__(
        self,
        connection: Connection,
        progress: dict[str, Any],
        moved: Callable[[], None],
        *,
        incremental: bool,
        announces_version: bool,
        sample: bool,
        idle: Callable[[], object],
        write_days: Callable[[Sequence[Any]], None] | None = None,
    ) -> None:
        self._connection = connection
        settings = connection.settings
        state = StreamState(
            progress,
            is_partner=settings.is_partner,
            account=settings.account,
            moved=moved,
            keeps_bookmark=not incremental,
            is_checked=True,
        )
        self._extraction = Extraction(
            connection,
            state,
            incremental=incremental,
            announces_version=announces_version,
            sample=sample,
            write_days=write_days,
        )
        self._extraction.on_idle = idle

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """One per user of a partner that is read; none for a customer's account."""
        contexts = map(context_of, self._extraction.users)
        return [context for context in contexts if context is not None]

    @property
    def warnings(self) -> Warnings:
        """Warnings of odd values, and how many were lost."""
        return self._extraction.warnings

    def check_columns(self, names: Collection[str]) -> None:
        """Warn where records that are written lack what the days are to be compared with."""
        self._extraction.ledger.check_columns(names)

    @contextmanager
    def run(self) -> Iterator[None]:
        """What surrounds a sync.

        Raises:
            TapError: it ended early; what has been emitted is complete up to the bookmarks.
        """
        try:
            with self._extraction.run():
                yield
        finally:
            with http_request_counter(STREAM, METHOD) as counter:
                counter.increment(self._connection.client.requests_made)

    def parts(
        self,
        columns: Columns,
        prepare: Callable[[list[Record]], T],
        context: Context | None = None,
    ) -> AbstractContextManager[Iterator[Part[T]]]:
        """The parts: all, or the one of a partition."""
        users: Sequence[User | None] = self._extraction.users
        if context is not None:
            users = [user for user in users if context_of(user) == context]
        return self._extraction.parts(columns, prepare, users)

    def keep_days(self) -> None:
        """Put what is remembered of days into the state."""
        self._extraction.keep_days()

    def unread(self) -> dict[str, str]:
        """Customers whose rows must stay in the table though this read did not bring them, each
        with the reason."""
        return self._extraction.unread()

    def version_activated(self) -> None:
        """The loader has been told to drop what this read did not bring."""
        self._extraction.positions.version_activated()
