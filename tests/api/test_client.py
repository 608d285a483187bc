"""One call: what is retried, what is not, and what is never shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from conftest import MakeSandbox
from support import check_injected

from sandbox import Faults, Limits, Sandbox
from tap_visitor_sessions.api import client as client_module
from tap_visitor_sessions.api.client import Client
from tap_visitor_sessions.api.errors import (
    ApiError,
    DailyLimitReached,
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


def test_a_superseded_version_is_warned_about_once(
    make_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(make_sandbox(sessions=1, faults=Faults(deprecated=True)))
    for _ in range(3):
        client.call("get.account")
    assert caplog.text.count("superseded") == 1
