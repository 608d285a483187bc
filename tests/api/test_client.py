"""One call: what is retried, what is not, and what is never shown."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import MakeSandbox
from support import check_injected

from sandbox import Faults, Limits, Sandbox
from tap_visitor_sessions.api import client as client_module
from tap_visitor_sessions.api.client import Answer, Client
from tap_visitor_sessions.api.errors import (
    ApiError,
    CountMismatch,
    DailyLimitReached,
    LimitExceeded,
    SessionEnded,
    TapError,
    TransientError,
    Unreachable,
)

METHOD = "get.visitor_sessions_report"
SPAN = {"date_from": "2024-05-01 00:00:00", "date_till": "2024-06-01 00:00:00"}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "BACKOFF", (0.01, 0.02))


def client_of(sandbox: Sandbox, **more: Any) -> Client:
    return Client(sandbox.url, **{"access_token": sandbox.token, **more})


@pytest.mark.parametrize(
    "faults",
    [
        Faults(http_error_rate=1),
        Faults(html_200_rate=1),
        Faults(cut_body_rate=1),
        Faults(truncated_json_rate=1),
        Faults(reset_rate=1),
        Faults(wrong_id_rate=1),
        Faults(bad_utf8_rate=1),
        Faults(internal_error_rate=1),
    ],
    ids=lambda faults: next(k for k, v in vars(faults).items() if v == 1),
)
def test_passing_faults_are_retried_then_an_error(
    faults: Faults, make_sandbox: MakeSandbox
) -> None:
    sandbox = make_sandbox(sessions=20, faults=faults)
    client = client_of(sandbox, max_retries=2)
    with pytest.raises(TransientError):
        client.call(METHOD, SPAN)
    assert len(sandbox.reports) == 3
    assert list(sandbox.injected.values()) == [3]
    check_injected(sandbox)
    sandbox.faults = Faults()
    assert client.call(METHOD, SPAN).total_items == 20


def test_a_fault_that_passes_costs_nothing_but_a_retry(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=20, faults=Faults(fail_first=2))
    client = client_of(sandbox)
    assert client.call(METHOD, SPAN).total_items == 20
    assert client.retries == 2


def test_an_answer_that_never_comes_is_given_up(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1, faults=Faults(latency=60))
    with pytest.raises(TransientError, match="request_timeout"):
        client_of(sandbox, timeout=0.2, max_retries=1).call(METHOD, SPAN)


@pytest.mark.parametrize(
    "mnemonic",
    ["access_token_blocked", "forbidden", "account_inactive", "something_new", "parse_error"],
)
def test_refusals_are_not_retried(mnemonic: str, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1, faults=Faults(errors={METHOD: [mnemonic] * 2}))
    with pytest.raises(ApiError) as caught:
        client_of(sandbox).call(METHOD, SPAN)
    assert caught.value.mnemonic == mnemonic
    assert len(sandbox.reports) == 1


def test_a_wrong_path_names_api_url(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1)
    with pytest.raises(TapError, match="api_url"):
        Client(sandbox.url + "/x", access_token="t").call("get.account")


def test_an_unreachable_host_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_CONTACT", client_module.CONNECT_TIMEOUT + 0.05)
    with pytest.raises(Unreachable, match="check api_url"):
        Client("http://127.0.0.1:9/v2.0", access_token="t", max_retries=99).call("get.account")


def test_daily_limit_fails_at_once(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=1, limits=Limits(day=1))
    client = client_of(sandbox)
    client.call("get.account")
    with pytest.raises(DailyLimitReached):
        client.call("get.account")


@pytest.mark.parametrize("break_it", [lambda s: None, lambda s: s.expire_sessions()], ids=["", "x"])
def test_no_secret_is_shown(
    break_it: Callable[[Sandbox], None],
    make_sandbox: MakeSandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = make_sandbox(sessions=5, password="pässword/1", login="löger@example.com")
    client = Client(sandbox.url, login=sandbox.login, password=sandbox.password, max_retries=1)
    with caplog.at_level(logging.DEBUG):
        client.call("get.account")
        [token] = sandbox._sessions
        break_it(sandbox)
        sandbox.faults = Faults(internal_error_rate=1)
        with pytest.raises(TapError) as caught:
            client.call(METHOD, SPAN)
        client.close()
    shown = caplog.text + repr(client) + repr(caught.value) + repr(caught.value.__context__)
    for secret in (sandbox.login, sandbox.password, token):
        assert secret not in shown


def test_a_key_that_ended_is_an_error_and_not_a_login(make_sandbox: MakeSandbox) -> None:
    with pytest.raises(SessionEnded):
        client_of(make_sandbox(sessions=1), access_token="old").call("get.account")


def test_a_listing_is_read_page_by_page(
    make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LISTING_PAGE", 7)
    sandbox = make_sandbox(sessions=0, partner={n: [n * 10] for n in range(1, 30)})
    assert len(client_of(sandbox).items("get.customer_users")) == 29


def test_bytes_that_stay_odd_are_mended_and_then_without_a_further_try(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    odd = Faults(mangle=lambda page: page.replace(b'"channel":"', b'"channel":"\xff'))
    sandbox = make_sandbox(sessions=20, faults=odd)
    client = client_of(sandbox)
    for reports in (2, 3):
        assert client.call(METHOD, {**SPAN, "fields": ["channel"]}).total_items == 20
        assert len(sandbox.reports) == reports
    assert caplog.text.count("U+FFFD") == 1
    assert client.retries == 1


def test_bytes_that_were_odd_on_their_way_cost_no_letter(make_sandbox: MakeSandbox) -> None:
    tries: list[bytes] = []

    def once(page: bytes) -> bytes:
        tries.append(page)
        first = len(tries) in (1, 3)
        return page.replace(b'"channel":"', b'"channel":"\xff') if first else page

    client = client_of(make_sandbox(sessions=20, faults=Faults(mangle=once)))
    for _ in range(2):
        answer = client.call(METHOD, {**SPAN, "fields": ["channel"]})
        assert "\ufffd".encode() not in bytes(answer.data)


def test_what_cannot_be_mended_names_the_span(make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(sessions=20, faults=Faults(mangle=lambda page: page + b"\x01"))
    with pytest.raises(TransientError, match="2024-05-01 00:00:00 to 2024-06-01 00:00:00"):
        client_of(sandbox, max_retries=1).call(METHOD, SPAN)


@pytest.mark.parametrize("count", [1, 7, 10_000])
def test_a_listing_that_says_no_total_and_ignores_offset_ends(
    count: int, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, asked = client_of(make_sandbox(sessions=0)), []

    def call(method: str, params: dict[str, Any]) -> Answer:
        asked.append(params["offset"])
        assert len(asked) <= 20, "without end"
        return Answer(memoryview(json.dumps([{"id": n} for n in range(count)]).encode()))

    monkeypatch.setattr(client, "call", call)
    with pytest.raises(CountMismatch, match=f"get.customers gives the same {count} rows"):
        client.items("get.customers")


def test_a_listing_that_says_no_total_and_heeds_offset_is_read_to_its_end(
    make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(make_sandbox(sessions=0))
    ids = [{"id": n} for n in range(100)]

    def call(method: str, params: dict[str, Any]) -> Answer:
        page = ids[params["offset"] : params["offset"] + 3]  # a short page is no end
        return Answer(memoryview(json.dumps(page).encode()))

    monkeypatch.setattr(client, "call", call)
    assert client.items("get.customers") == ids


# Points that a partner's customer may have of its own


def spent(mnemonic: str = "limit_exceeded", kind: str | None = "day") -> LimitExceeded:
    problem = LimitExceeded("used up", mnemonic=mnemonic)
    problem.limit_type = kind
    return problem


def of_user(client: Client, user: int) -> Answer:
    return client.call(METHOD, {**SPAN, "user_id": user})


def test_a_customer_without_points_is_its_own_fault_until_so_many_in_a_row(
    make_sandbox: MakeSandbox,
) -> None:
    partner = {number: [number * 10] for number in range(1, 9)}
    without = dict.fromkeys((1, 2, 3, 5, 6, 7, 8), "limit_exceeded")
    sandbox = make_sandbox(sessions=5, partner=partner, refusals=without)
    client = client_of(sandbox)
    for user in (10, 10, 20, 30, 30):  # the same one again is no further one
        with pytest.raises(LimitExceeded):
            of_user(client, user)
    assert of_user(client, 40).total_items == 5  # ends the row
    for user in (50, 60, 70):
        with pytest.raises(LimitExceeded):
            of_user(client, user)
    with pytest.raises(DailyLimitReached):
        of_user(client, 80)
    assert client_module.MOST_SPENT == 3


@pytest.mark.parametrize(
    ("more", "params", "kind", "first", "second"),
    [
        ({}, {"user_id": 10}, "day", True, True),
        ({}, {"user_id": 10}, "minute", False, False),
        ({}, {}, "day", False, False),
        ({"on_daily_limit": "wait"}, {"user_id": 10}, "day", False, False),
        # Without a word on which: most likely the minute's; not so the second time.
        ({}, {"user_id": 10}, None, False, True),
    ],
)
def test_whose_points_are_used_up(
    more: dict[str, Any],
    params: dict[str, Any],
    kind: str | None,
    first: bool,
    second: bool,
    make_sandbox: MakeSandbox,
) -> None:
    client = client_of(make_sandbox(sessions=0), **more)
    assert client._is_customers(spent(kind=kind), params, None) is first
    assert client._is_customers(spent(kind=kind), params, None) is second


def test_the_accounts_meter_at_nothing_says_whose_they_are(make_sandbox: MakeSandbox) -> None:
    client = client_of(make_sandbox(sessions=0))
    client.pacer.release({"day_limit": 5, "day_remaining": 0, "day_reset": 60})
    assert not client._is_customers(spent(), {"user_id": 10}, None)


def test_an_error_tells_the_meters_too(make_sandbox: MakeSandbox) -> None:
    """Others have used up some: what a refusal says of it counts as much as an answer's."""
    sandbox = make_sandbox(sessions=0, limits=Limits(day=10, minute=7), disabled_component=True)
    for _ in range(4):
        sandbox.meters.charge()
    client = client_of(sandbox)
    with pytest.raises(ApiError):
        client.call(METHOD, SPAN)
    assert client.pacer.left() == "3 of 7 per minute, 6 of 10 per day"


# A login's session


def test_threads_that_meet_the_same_end_of_a_session_log_in_once(
    make_sandbox: MakeSandbox,
) -> None:
    sandbox = make_sandbox(sessions=5)
    client = client_of(sandbox, access_token=None, login=sandbox.login, password=sandbox.password)
    together, count = threading.Barrier(8), 8

    def ask(_: int) -> int | None:
        together.wait()
        return client.call(METHOD, SPAN).total_items

    with ThreadPoolExecutor(count) as pool:
        for logins in (1, 2):
            assert [*pool.map(ask, range(count))] == [5] * count
            assert len(sandbox.tokens) == logins
            sandbox.expire_sessions()
    stale, auth = sandbox.tokens[-1], client._auth
    assert all(auth.renew(stale) for _ in range(5))  # as of threads that learn of it late
    assert len(sandbox.tokens) == 3


def test_a_superseded_version_is_warned_about_once(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(make_sandbox(sessions=1, faults=Faults(deprecated=True)))
    for _ in range(3):
        client.call("get.account")
    assert caplog.text.count("superseded") == 1
