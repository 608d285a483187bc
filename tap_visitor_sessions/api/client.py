"""One JSON-RPC call of the Data API: authentication, retries, limits. Knows no Singer.

Source: the vendor's pages on transport, authentication, limits and errors. Errors arrive as
HTTP 200, so an answer counts only once its envelope has been read.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import tenacity

from tap_visitor_sessions.api.auth import Auth, LoginAuth, TokenAuth
from tap_visitor_sessions.api.envelope import OddBytes, Reply, count, opened
from tap_visitor_sessions.api.errors import (
    AllowanceSpent,
    ApiError,
    CountMismatch,
    DailyLimitReached,
    LimitExceeded,
    SessionEnded,
    TapError,
    TransientError,
    Unreachable,
    error_from,
    limits_of,
)
from tap_visitor_sessions.api.limits import Pacer, spelled
from tap_visitor_sessions.api.transport import CONNECT_TIMEOUT, Arrival, Transport

logger = logging.getLogger("tap-visitor-sessions.client")

FIRST_CONTACT = 30.0
"""Seconds after which a host that has never answered is given up."""
BACKOFF = (0.5, 10.0)
"""First and longest pause before a retry, in seconds; the pauses grow and are jittered."""
LONGEST_LIMIT_WAIT = 3600.0
"""Seconds after which a request rejected for the minute's points is given up."""
LOGOUT_TIMEOUT = 5.0
"""Seconds at most that a logout may take."""
LISTING_PAGE = 10_000
"""Rows asked per request of a listing such as get.customer_users."""
LISTING_TRIES = 8
MOST_SPENT = 3
"""So many of a partner's customers in a row without points: they are the account's."""


@dataclass(frozen=True)
class Answer:
    """A successful answer.

    Attributes:
        data: The raw JSON of `result.data`, not decoded, as a view of the answer's bytes.
        total_items: Rows that the query has, where the method says so.
        metadata: The answer's metadata, decoded.
    """

    data: memoryview
    total_items: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class Client:
    """Calls the API; safe to use from several threads, each with its own connection."""

    def __init__(
        self,
        api_url: str,
        *,
        access_token: str | None = None,
        login: str | None = None,
        password: str | None = None,
        timeout: float = 300,
        max_retries: int = 8,
        on_daily_limit: str = "fail",
        user_agent: str = "tap-visitor-sessions",
        stop: threading.Event | None = None,
    ) -> None:
        self._url = api_url
        self._max_retries = max_retries
        self._daily_fail = on_daily_limit == "fail"
        self._stop = stop or threading.Event()
        self._transport = Transport(api_url, timeout=timeout, user_agent=user_agent)
        self._lock = threading.Lock()
        self._reached = False
        self._mends_bytes = max_retries == 0
        self._warned: set[str] = set()
        self.pacer = Pacer(on_daily_limit=on_daily_limit, stop=self._stop)
        self._auth: Auth = (
            TokenAuth(access_token)
            if access_token
            else LoginAuth(login or "", password or "", self._call)
        )
        self.requests_made = 0
        self.retries = 0
        # Users whose points are used up, and those rejected without a word on which: in a row.
        self._spent: set[object] = set()
        self._unnamed: set[object] = set()
        self.pausing: Callable[[], AbstractContextManager[object]] = nullcontext
        """Entered while a request waits for its next try."""
        self.patience: Callable[[], float] = lambda: float("inf")
        """Seconds after its first try from which a request is tried no more."""
        self.on_reply: Callable[[str, Reply, Arrival | None], object] = lambda *_: None
        """Told of each answer: the method, what it holds, and how it came."""
        self.allowance: int | None = None
        """So many points are spent at most, and none waited for that come back by day; None: as
        many as the account has."""
        self.points_spent = 0
        """At most: a request whose answer has not arrived counts."""

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Client({self._url!r})"

    @property
    def seconds_waited(self) -> float:
        """Seconds spent waiting for points."""
        return self.pacer.seconds_waited

    def clock_lead(self) -> timedelta:
        """By how much this machine's clock is ahead of the API's, as far as answers have told."""
        return self._transport.clock_lead or timedelta(0)

    def figures(self) -> dict[str, float]:
        """What it has done so far, for a summary."""
        return {
            "requests": self.requests_made,
            "retries": self.retries,
            "seconds_waited": round(self.seconds_waited, 1),
        }

    def call(self, method: str, params: Mapping[str, object] | None = None) -> Answer:
        """Call a method with the account's token.

        Raises:
            TapError: with what went wrong and the fix; never holds a secret.
        """
        for renewals in itertools.count():
            token = self._auth.token()
            try:
                return self._call(method, {**(params or {}), "access_token": token})
            except ApiError as problem:
                if not isinstance(problem, SessionEnded) or renewals > self._max_retries:
                    raise self._auth.explained(problem) from None
                if not self._auth.renew(token):
                    raise
            if renewals:  # one that has had its hour is no reason to wait
                self._pause(random.uniform(0, min(BACKOFF[0] * 2**renewals, BACKOFF[1])))
        raise AssertionError

    def items(self, method: str, params: Mapping[str, object] | None = None) -> list[Any]:
        """All rows of a listing such as `get.customer_users`, page by page, each `id` once.

        Rows come in no promised order, so pages can overlap: they are read again until the
        ids add up to `total_items`.

        Raises:
            CountMismatch: they did not add up in any of the tries.
        """
        held: dict[str, Any] = {}
        total: int | None = None
        for _ in range(LISTING_TRIES):
            offset = 0
            while True:
                paging = {"limit": LISTING_PAGE, "offset": offset}
                answer = self.call(method, {**(params or {}), **paging})
                page, total = msgspec.json.decode(answer.data), answer.total_items
                held.update((_id_of(row), row) for row in page)
                offset += len(page)
                if total is None and offset > LISTING_TRIES * len(held):
                    raise CountMismatch(
                        f"{method} gives the same {len(held)} rows at every offset and says no "
                        "total_items: the listing cannot be read to its end. Report it to the "
                        "vendor"
                    )
                # Without total_items only an empty page is the end: a short one may be any.
                if not page or (total is not None and offset >= total):
                    break
            if total is None or len(held) == total:
                return list(held.values())
            if len(held) > total:
                held.clear()  # some have gone meanwhile
        raise CountMismatch(f"{method} promised {total} rows and gave {len(held)}")

    def close(self) -> None:
        """Log out of a login session. The client can be used again: it logs in anew.

        A courtesy, since sessions end by themselves: one try, without a word, and no points are
        waited for.
        """
        if (token := self._auth.given_up()) is None:
            return
        body = _request("logout.user", {"access_token": token}, uuid.uuid4().hex)
        with contextlib.suppress(TapError):
            self._transport.post(body, timeout=LOGOUT_TIMEOUT)

    # One call, as often as it takes

    def _call(self, method: str, params: Mapping[str, object]) -> Answer:
        began = time.monotonic()
        # Tenacity keeps a result in a reference cycle; megabytes would wait for the collector.
        answers: list[Answer] = []
        is_odd = False

        def attempt() -> None:
            nonlocal is_odd
            try:
                # What is as odd in a further try is so for good.
                answers.append(self._attempt(method, params, mends_bytes=is_odd))
            except OddBytes:
                is_odd = True
                raise

        while True:
            try:
                self._retrying(method)(attempt)
                return answers.pop()
            except TransientError as problem:
                if "date_from" in params:
                    span = f"{params['date_from']} to {params['date_till']}"
                    problem.args = (f"{problem} (asked for the sessions of {span})",)
                raise
            except LimitExceeded as limit:
                if limit.is_customers:
                    raise
                if limit.limit_type == "day" and (self._daily_fail or self.allowance is not None):
                    raise DailyLimitReached(str(limit)) from None
                waited = time.monotonic() - began
                if limit.limit_type != "day" and waited > LONGEST_LIMIT_WAIT:
                    raise

    def _retrying(self, method: str) -> tenacity.Retrying:
        first, longest = BACKOFF

        def note(state: tenacity.RetryCallState) -> None:
            self.retries += 1
            problem = state.outcome.exception() if state.outcome else None
            pause = state.next_action.sleep if state.next_action else 0.0
            logger.warning("%s: %s; trying again in %.1f s", method, problem, pause)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((TransientError, Unreachable)),
            stop=self._enough,
            wait=_wait(tenacity.wait_random_exponential(multiplier=first, max=longest)),
            sleep=self._pause,
            before_sleep=note,
            reraise=True,
        )

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        """Stop after the retries allowed, and sooner for a host that never answered."""
        never = not self._reached and isinstance(
            state.outcome.exception() if state.outcome else None, Unreachable
        )
        since = state.seconds_since_start or 0
        late = (never and since > FIRST_CONTACT - CONNECT_TIMEOUT) or since >= self.patience()
        return late or state.attempt_number > self._max_retries or self._is_allowance_spent

    def _pause(self, seconds: float) -> None:
        with self.pausing():
            if self._stop.wait(seconds):
                raise TapError("Stopped")

    def _attempt(self, method: str, params: Mapping[str, object], *, mends_bytes: bool) -> Answer:
        """One request and its answer; meters are learnt from both kinds of answer."""
        self._check_allowance()
        self.pacer.acquire()
        self.points_spent += 1
        limits: dict[str, Any] | None = None
        try:
            reply = self._exchange(method, params, mends_bytes=mends_bytes)
            self._reached = True
            if reply.error is not None:
                self.points_spent -= 1  # a refusal costs none
                limits = limits_of(reply.error.get("data"))
                problem = error_from(reply.error, method)
                if isinstance(problem, LimitExceeded):
                    problem.is_customers = self._is_customers(problem, params, limits)
                    if problem.is_customers:
                        limits = None  # not the account's
                    else:
                        self.pacer.exceeded(problem)
                raise problem
            self._spent.clear()
            self._unnamed.clear()
            limits = limits_of({"metadata": reply.metadata})
            self._note_version(reply.metadata)
            total = count(reply.metadata.get("total_items"))
            data = reply.rows(total) if method.startswith("get.") else reply.data
            return Answer(data, total, reply.metadata)
        finally:
            self.pacer.release(limits)

    @property
    def _is_allowance_spent(self) -> bool:
        return self.allowance is not None and self.points_spent >= self.allowance

    def _check_allowance(self) -> None:
        if self.allowance is None:
            return
        if self._is_allowance_spent:
            raise AllowanceSpent(
                f"{self.allowance} points are spent, as many as it may: requests without an answer "
                "count. Try again later"
            )
        if self.pacer.day.remaining == 0:
            raise AllowanceSpent("No points are left for the day")

    def _is_customers(
        self, limit: LimitExceeded, params: Mapping[str, object], limits: Mapping[str, Any] | None
    ) -> bool:
        """Whether the points that are used up are taken for those of a partner's customer alone:
        whose they are the vendor does not say, so up to `MOST_SPENT` customers in a row are asked.
        """
        user = params.get("user_id")
        if user is None or limit.limit_type == "minute" or not self._daily_fail:
            return False
        with self._lock:
            named = limit.limit_type is not None or limit.reset is not None or limits is not None
            if not named and user not in self._unnamed:
                # Most likely the minute's, which pass; the second time it is not.
                self._unnamed.add(user)
                return False
            if self.pacer.day.remaining == 0:
                return False
            self._spent.add(user)
            return len(self._spent) <= MOST_SPENT

    def _exchange(self, method: str, params: Mapping[str, object], *, mends_bytes: bool) -> Reply:
        self.requests_made += 1
        request_id = uuid.uuid4().hex
        answer = self._transport.post(_request(method, params, request_id))
        if lead := self.clock_lead():
            self._warn_once(
                f"This machine's clock is {spelled(lead.total_seconds())} ahead of the API's: "
                "sessions are read up to the API's time. Set the clock"
            )
        if lag := self._transport.clock_lag:
            self._warn_once(
                f"This machine's clock is {spelled(lag.total_seconds())} behind the API's: "
                "sessions since its time are not read. Set the clock"
            )
        try:
            reply = opened(answer, request_id, mends_bytes=mends_bytes or self._mends_bytes)
        except TransientError:
            self._transport.drop()
            raise
        self.on_reply(method, reply, self._transport.arrived)
        if reply.repaired:
            self._mends_bytes |= mends_bytes
            self._warn_once(
                "The API sent what is no character (a control character, bytes that are no UTF-8, "
                "half of a pair): replaced by U+FFFD"
            )
        return reply

    def _note_version(self, metadata: Mapping[str, Any]) -> None:
        version = metadata.get("api_version")
        if isinstance(version, dict) and version.get("current_version_deprecated"):
            self._warn_once(
                "This version of the API is superseded and will be switched off within two "
                "months: look for a newer release of the tap, or another version in api_url"
            )

    def _warn_once(self, message: str) -> None:
        with self._lock:
            if message in self._warned:
                return
            self._warned.add(message)
        logger.warning(message)


def _request(method: str, params: Mapping[str, object], request_id: str) -> bytes:
    body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    return msgspec.json.encode(body)


def _id_of(row: Any) -> str:
    return str(row["id"] if isinstance(row, dict) and "id" in row else row)


def _wait(
    backoff: Callable[[tenacity.RetryCallState], float],
) -> Callable[[tenacity.RetryCallState], float]:
    """The back-off, or longer where the server asked for it."""

    def wait(state: tenacity.RetryCallState) -> float:
        problem = state.outcome.exception() if state.outcome else None
        asked = problem.retry_after if isinstance(problem, TransientError) else None
        return max(backoff(state), asked or 0.0)

    return wait
