"""Sessions of a login: renewed as often as it takes, ended as a courtesy."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import MakeSandbox

from sandbox import Faults, Limits, Sandbox
from tap_visitor_sessions.api import client as client_module
from tap_visitor_sessions.api.client import Client
from tap_visitor_sessions.api.errors import ApiError, SessionEnded


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "BACKOFF", (0.001, 0.002))


def client_of(sandbox: Sandbox, **more: Any) -> Client:
    return Client(sandbox.url, login=sandbox.login, password=sandbox.password, **more)


def methods(sandbox: Sandbox) -> list[str]:
    return [call.method for call in sandbox.calls]


def test_sessions_that_end_after_a_few_calls_are_renewed(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1, session_calls=3)
    client = client_of(sandbox, max_retries=30)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.call("get.account"), range(24)))
    assert len(answers) == 24
    assert methods(sandbox).count("login.user") >= 8


@pytest.mark.parametrize("retries", [0, 3])
def test_one_that_never_lives_ends_in_an_error_of_the_login(
    retries: int, make_sandbox: MakeSandbox
) -> None:
    sandbox = make_sandbox(sessions=1, session_calls=0)
    pauses: list[float] = []
    client = client_of(sandbox, max_retries=retries)
    client._pause = pauses.append  # type: ignore[method-assign]
    with pytest.raises(SessionEnded) as caught:
        client.call("get.account")
    assert "another process may log in with the same login" in str(caught.value)
    assert "access_token" not in str(caught.value)
    assert methods(sandbox) == ["login.user", "get.account"] * (retries + 2)
    assert len(pauses) == retries


def test_a_session_that_is_blocked_is_an_error_of_the_login(make_sandbox: MakeSandbox) -> None:
    faults = Faults(errors={"get.account": ["access_token_blocked"]})
    with pytest.raises(ApiError, match="login") as caught:
        client_of(make_sandbox(sessions=1, faults=faults)).call("get.account")
    assert "access_token" not in str(caught.value)


@pytest.mark.parametrize("trouble", ["silent", "internal_error", "points", "gone"])
def test_a_logout_is_one_short_try(
    trouble: str, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LOGOUT_TIMEOUT", 0.3)
    limits = Limits(day=2) if trouble == "points" else None
    sandbox = make_sandbox(sessions=1, limits=limits)
    client = client_of(sandbox, on_daily_limit="wait")
    client.call("get.account")
    if trouble == "silent":
        sandbox.faults = Faults(delays={"logout.user": 3600})
    elif trouble == "internal_error":
        sandbox.faults = Faults(errors={"logout.user": ["internal_error"] * 9})
    elif trouble == "gone":
        client._transport._url = "http://127.0.0.1:9/v2.0"
    slept: list[float] = []
    client.pacer._sleep = slept.append
    began = time.monotonic()
    client.close()
    client.close()
    assert time.monotonic() - began < 60  # the timeout of requests is 300 s
    assert methods(sandbox).count("logout.user") == (trouble != "gone")
    assert not slept


def test_a_logout_does_not_wait_for_one_who_logs_in(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1)
    client = client_of(sandbox)
    client.call("get.account")
    with client._auth._lock:  # type: ignore[attr-defined]
        client.close()
    assert "logout.user" not in methods(sandbox)


def test_a_client_that_has_logged_out_logs_in_anew(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1)
    client = client_of(sandbox)
    for _ in range(2):
        client.call("get.account")
        client.close()
    assert methods(sandbox) == ["login.user", "get.account", "logout.user"] * 2
