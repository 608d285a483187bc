"""Where the access token comes from: a key, or a login session that is renewed as it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from tap_visitor_sessions.api.errors import ApiError, SessionEnded, TapError, TransientError, number
from tap_visitor_sessions.api.redaction import keep_secret

RENEW_BEFORE = 60.0
"""Seconds before `expire_at` at which a session is renewed."""
_SHORTEST_LIFE = 120.0

Call = Callable[[str, Mapping[str, object]], Any]
"""Calls a method without a token; returns an answer whose `data` is raw JSON."""


class Auth(Protocol):
    """Hands out the access token; thread-safe."""

    def token(self) -> str:
        """Return a token that is believed to be valid."""

    def renew(self, stale: str) -> bool:
        """Replace the token `stale`; True when `token()` now gives another one."""

    def explained(self, problem: ApiError) -> ApiError:
        """An error about the token, in the words of what the user has set."""

    def given_up(self) -> str | None:
        """The token of a session that is to be ended; None where there is none."""


class TokenAuth:
    """A permanent or temporary key; it cannot be renewed."""

    def __init__(self, token: str) -> None:
        self._token = token
        keep_secret(token)

    def __repr__(self) -> str:
        return "TokenAuth(***)"

    def token(self) -> str:
        """Return the key."""
        return self._token

    def renew(self, stale: str) -> bool:
        """Return False: a key cannot be renewed."""
        return False

    def explained(self, problem: ApiError) -> ApiError:
        """The error as it is."""
        return problem

    def given_up(self) -> None:
        """None: a key is no session."""


class LoginAuth:
    """A session of `login.user`, opened at first use and renewed once for all threads."""

    def __init__(
        self,
        login: str,
        password: str,
        call: Call,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        keep_secret(login, password, f"{login}:{password}")
        self._login = login
        self._password = password
        self._call = call
        self._wall = wall
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = float("inf")
        self._refused: ApiError | None = None

    def __repr__(self) -> str:
        return "LoginAuth(***)"

    def token(self) -> str:
        """Return the session's token, logging in when there is none or it is about to end."""
        with self._lock:
            if self._token is None or self._clock() >= self._renew_at:
                return self._open()
            return self._token

    def renew(self, stale: str) -> bool:
        """Log in again, unless another thread has already replaced `stale`."""
        with self._lock:
            if self._token in (None, stale):
                self._open()
            return True

    def explained(self, problem: ApiError) -> ApiError:
        """No word of `access_token`, which is not set."""
        if problem.mnemonic == "access_token_blocked":
            problem.args = (
                "The API has blocked the session of the login: ask the vendor whether the user "
                "of the setting login is blocked",
            )
        elif isinstance(problem, SessionEnded):
            problem.args = (
                "The API ends the sessions of the login again and again: another process may log "
                "in with the same login. Give the tap a login of its own",
            )
        return problem

    def given_up(self) -> str | None:
        """The session's token, which is not used any more."""
        # Not in wait of a thread that is just logging in: its session ends by itself.
        if not self._lock.acquire(blocking=False):
            return None
        try:
            token, self._token = self._token, None
        finally:
            self._lock.release()
        return token

    def _open(self) -> str:
        if self._refused is not None:
            # A wrong password tried by every thread could lock the user out.
            raise self._refused
        try:
            answer = self._call("login.user", {"login": self._login, "password": self._password})
        except ApiError as error:
            if not isinstance(error, TransientError):
                self._refused = error
            raise
        token, expire_at = _session(answer.data)
        keep_secret(token)
        self._token = token
        self._renew_at = self._when(expire_at)
        return token

    def _when(self, expire_at: float | None) -> float:
        """Return the clock time of renewal; never when `expire_at` cannot be trusted."""
        life = 0.0 if expire_at is None else expire_at - self._wall()
        # A wrong clock here would make each request log in: then wait for the API to say so.
        return self._clock() + life - RENEW_BEFORE if life > _SHORTEST_LIFE else float("inf")


def _session(data: memoryview) -> tuple[str, float | None]:
    """Read token and `expire_at` (Unix seconds) from the data of `login.user`."""
    try:
        row: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        row = None
    if isinstance(row, list) and row:
        row = row[0]
    token = row.get("access_token") if isinstance(row, dict) else None
    if not isinstance(token, str) or not token:
        raise TapError("login.user gave no access token: check api_url.") from None
    return token, number(row.get("expire_at"))
