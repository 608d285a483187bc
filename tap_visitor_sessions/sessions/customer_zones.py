"""The zones of a partner's customers: by the settings, else by the API, which is also held against
what the settings say.

Source: `getobj.account`, which needs the component "Data API for configuration". Where the settings
say one, they decide, and a customer is asked for once it has been read, beside the run; else when
its turn has come. What the API says is kept in the state, and asked for again after thirty days.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta, timezone

from tap_visitor_sessions.api import ApiError, TapError, shown
from tap_visitor_sessions.config import is_zone
from tap_visitor_sessions.sessions.accounts import Connection, User
from tap_visitor_sessions.sessions.bookmarks import TURN, StreamState
from tap_visitor_sessions.sessions.zones import Timezone

logger = logging.getLogger("tap-visitor-sessions.customer-zones")

AGAIN_AFTER = timedelta(days=30)
FEW = 10
"""Of so many customers that are read, one is asked for again; so many are warned of by name."""
LAST_WAIT = 5.0
"""Seconds that the end of a run waits for answers that are due."""


class CustomerZones:
    """The zones of the customers of one run."""

    def __init__(self, connection: Connection, state: StreamState) -> None:
        self._account = connection.account
        self._now = connection.settings.now
        self._stop = connection.stop
        self._state = state
        self._zones: dict[int, Timezone] = {}  # as they are read
        self._due: queue.SimpleQueue[User | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[User, str]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_over = self._is_closed = False
        self._read = self._again = self._differ = 0
        self.join: Callable[[], AbstractContextManager[None]] = nullcontext
        """A place among the requests in flight."""

    def is_known(self, user: User | None, former: Sequence[int] = ()) -> bool:
        """Whether a customer's zone is known without a request."""
        if user is None or self._account.set_zone(user, former):
            return True
        return bool(self._told(user))

    def _told(self, user: User) -> str:
        """What the API has said of a customer's zone; "" where that is none."""
        told, _ = self._state.told_zone(user.customer_id)
        return told if is_zone(told) else ""

    def of(self, user: User, former: Sequence[int]) -> Timezone:
        """The zone under which a customer is read.

        Raises:
            TapError: neither the settings nor the API say it.
        """
        told = self._told(user)
        with nullcontext() if self.is_known(user, former) else self.join():
            try:
                is_read = self._account.timezone(user, former, told)
            except ApiError as problem:
                self._is_over |= problem.mnemonic == "method_component_disabled"
                raise
        if is_read.by == "api" and not told:
            self._state.note_zone(user, is_read.name, self._now.strftime(TURN))
        self._zones[user.customer_id] = is_read
        self._compare(user, is_read)
        return is_read

    def _compare(self, user: User, is_read: Timezone) -> None:
        """Warn where the API has said another zone than the one under which a customer is read."""
        told, _ = self._state.told_zone(user.customer_id)
        if told and told != is_read.name and is_read.by == "setting":
            self._differ += 1
            if self._differ <= FEW:
                logger.warning(
                    "%s is read in the time zone %s, and the API says that its own is %s: set "
                    "it in customer_timezones, unless the setting is right",
                    *(user.customer, is_read.name, told),
                )

    def read(self, user: User | None) -> None:
        """A customer has been read: ask for its zone, if it is time."""
        self._take_over()
        if user is None or self._is_over or user.customer_id not in self._zones:
            return
        self._read += 1
        _, asked_at = self._state.told_zone(user.customer_id)
        if asked_at:
            # Or all would be asked again on one day, and double what that day costs.
            if self._again * FEW >= self._read or not self._is_old(asked_at, user.customer_id):
                return
            self._again += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._ask, name="zones", daemon=True)
            self._thread.start()
        self._due.put(user)

    def end(self) -> None:
        """Take over what is still to come, within bounds, and warn of what was not named."""
        if self._thread is not None and not self._is_closed:
            self._is_closed = True
            self._due.put(None)
            self._thread.join(0 if self._stop.is_set() else LAST_WAIT)
            self._is_over = True
            self._take_over()
        if self._differ > FEW:
            logger.warning("So are %d more customers", self._differ - FEW)
            self._differ = FEW

    def _is_old(self, asked_at: str, customer_id: int) -> bool:
        try:
            at = datetime.strptime(asked_at, TURN).replace(tzinfo=timezone.utc)
        except ValueError:
            return True
        # Or those that were asked on one day would be again, one run each, on another.
        return self._now - at >= AGAIN_AFTER + timedelta(days=customer_id % AGAIN_AFTER.days)

    def _ask(self) -> None:
        """Ask for those that are due, one after the other; the first refusal ends it."""
        while (user := self._due.get()) is not None and not self._is_over:
            try:
                with self.join():
                    said = self._account.described_by_object(user).get("timezone")
            except ApiError as problem:
                logger.debug("The zones of the customers are not known: %s", problem)
                self._is_over = problem.mnemonic not in ("forbidden", "account_inactive")
            except (TapError, ValueError) as problem:
                logger.debug("The zone of %s is not known: %s", user.customer, problem)
            else:
                if isinstance(said, str) and said:
                    self._answers.put((user, shown(said)))

    def _take_over(self) -> None:
        while not self._answers.empty():
            user, name = self._answers.get()
            was, _ = self._state.told_zone(user.customer_id)
            self._state.note_zone(user, name, self._now.strftime(TURN))
            if name != was:
                self._compare(user, self._zones[user.customer_id])
