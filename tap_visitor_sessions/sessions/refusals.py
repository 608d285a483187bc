"""Columns that the API of an account refuses: left out, told, remembered, asked for again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from tap_visitor_sessions.api import ApiError
from tap_visitor_sessions.sessions.accounts import User
from tap_visitor_sessions.sessions.bookmarks import ASKED_AGAIN, Bookmarks
from tap_visitor_sessions.sessions.windows import UNKNOWN, Fields

logger = logging.getLogger("tap-visitor-sessions.columns")

MOST_WARNINGS = 50
"""So many warnings a run at most."""

Refused = tuple[tuple[str, datetime], ...]


class Refusals:
    """The columns that the accounts of one run refuse. Safe to use from several threads.

    Args:
        wanted: The columns that are to be asked for.
        now: The instant (UTC) that the run takes for now.
        pausing: While it is entered, another request may go.
    """

    def __init__(
        self,
        wanted: Sequence[str],
        now: datetime,
        pausing: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._wanted, self._now, self._pausing = wanted, now, pausing
        self._fields: dict[User | None, tuple[Fields, Bookmarks]] = {}
        self._unknown: set[str] = set()  # to the API, whatever the account
        self._warned: set[frozenset[str]] = set()
        self._lock = threading.Lock()

    def fields(self, user: User | None, bookmarks: Bookmarks) -> Fields:
        """The columns to ask for of an account.

        Args:
            bookmarks: Of former runs.
        """
        early = [name for name, _ in bookmarks.not_asked(self._now) if name in self._wanted]
        if early:
            why = f"refused by the API in a former run; asked for again {_days()} after that"
            self._warn(early, user, why)

        def tell(names: Sequence[str], problem: ApiError) -> None:
            is_unknown = problem.mnemonic == UNKNOWN
            if is_unknown:
                with self._lock:
                    self._unknown.update(names)
            why = "not known to the API" if is_unknown else "of a component that is off"
            self._warn(
                names, user, f"{why}, which refuses to give them; asked for again in {_days()}"
            )

        fields = Fields(self._wanted, [*early, *self._unknown], tell, self._pausing)
        self._fields[user] = fields, bookmarks
        return fields

    def columns(self, user: User | None) -> Refused:
        """What is to be remembered of an account."""
        fields, former = self._fields[user]
        early = dict(former.not_asked(self._now))
        kept = {name: at for name, at in former.refused if name not in self._wanted}
        left_out = {name: early.get(name, self._now) for name in sorted(fields.left_out)}
        return tuple({**kept, **left_out}.items())

    def _warn(self, names: Iterable[str], user: User | None, why: str) -> None:
        """Once for the same columns, whichever account it is."""
        with self._lock:
            lacking = frozenset(names)
            if lacking in self._warned or len(self._warned) >= MOST_WARNINGS:
                return
            self._warned.add(lacking)
        whose = f" (first met at {user})" if user else ""
        logger.warning(
            "%s: left out, emitted as null%s: %s", ", ".join(sorted(lacking)), whose, why
        )


def _days() -> str:
    return f"{ASKED_AGAIN.days} days"
