"""Faults between tap and API: each recovers completely or ends in one clear line."""

from __future__ import annotations

import gc
import gzip
import logging
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import MakeSandbox, Tally
from hosts import EVERY_HOST, Host, HostRun
from oracle import as_emitted

from sandbox import Sandbox
from sandbox.wire import (
    FAULTS,
    SILENCES,
    Fault,
    Line,
    Proxy,
    Wire,
    changed,
    framed,
    rewritten,
    status,
)
from tap_visitor_sessions.api import client as client_module
from tap_visitor_sessions.api.client import Answer, Client
from tap_visitor_sessions.api.errors import TapError, TransientError, Unreachable

ZONE = "Europe/Moscow"
METHOD = "get.visitor_sessions_report"
ASK = {
    "date_from": "2024-05-01 00:00:00",
    "date_till": "2024-06-01 00:00:00",
    "fields": ["id", "date_time", "channel", "hits"],
}
TOKEN = "s3cret-token"
PASSWORD = "pr0xy-pass"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _short_pauses_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "BACKOFF", (0.01, 0.02))
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    with Sandbox(sessions=200, seed=1, token=TOKEN).running() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Sandbox:
    """One sandbox for all tests, since none changes it; only its calls are those of one test."""
    served.calls.clear()
    return served


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The tap takes the signals for itself: give them back."""
    held = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in held.items():
        signal.signal(number, handler)


RunHere = Callable[[Host, dict[str, Any]], HostRun]


@pytest.fixture
def run_here(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> RunHere:
    """Runs a host's command line in this process, where pauses are short."""

    def run(host: Host, config: dict[str, Any]) -> HostRun:
        monkeypatch.setattr(sys, "argv", [host.name, *host.arguments(config, None, tmp_path)])
        capfd.readouterr()
        root = logging.getLogger()
        before, level, code = list(root.handlers), root.level, 0
        try:
            host.main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            root.handlers, root.level = before, level
        out, err = capfd.readouterr()
        return host.parsed(code, out, err)

    return run


def client_of(url: str, **more: Any) -> Client:
    return Client(url, **{"access_token": TOKEN, "timeout": 60, **more})


def rows_of(answer: Answer) -> list[Any]:
    return sorted(msgspec.json.decode(answer.data), key=lambda row: int(row["id"]))


def held(sandbox: Sandbox) -> list[Any]:
    """What a sound answer to ASK holds."""
    names = ASK["fields"]
    return [{n: row[n] for n in names} for row in sorted(sandbox.rows(), key=lambda r: r["id"])]


def lost(sandbox: Sandbox, answer: Answer) -> int:
    """Sessions that the answer lacks; the others must be exact."""
    got, want = rows_of(answer), held(sandbox)
    assert [row for row in got if row not in want] == []
    return len(want) - len(got)


def config_of(url: str, **more: Any) -> dict[str, Any]:
    return {
        "api_url": url,
        "access_token": TOKEN,
        "start_date": "2024-05-01T00:00:00",
        "end_date": "2024-06-01T00:00:00",
        "page_size": 30,
        "request_timeout": 20,
        **more,
    }


def check_whole(run: HostRun, sandbox: Sandbox) -> int:
    """The records are the sandbox's rows exactly; returns how many are missing."""
    assert run.code == 0, run.stderr
    want = {row["id"]: as_emitted(row, ZONE) for row in sandbox.rows()}
    got = {record["id"]: record for record in run.records}
    assert len(got) == len(run.records)
    assert [r for id_, r in got.items() if want.get(id_) != r] == []
    return len(want.keys() - got.keys())


def check_error(run: HostRun) -> None:
    """The run failed with one line that is no traceback, and shows no secret."""
    assert run.error
    assert TOKEN not in run.output
    assert PASSWORD not in run.output


def check_message(problem: BaseException) -> str:
    """An error's text is one line, shows no secret, and so do the errors behind it."""
    text = str(problem)
    assert text
    assert len(text.splitlines()) == 1
    assert len(text) < 400
    assert TOKEN not in repr(problem) + text
    assert PASSWORD not in repr(problem) + text
    return text


# One call


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_passes_costs_no_session(name: str, sandbox: Sandbox, tally: Tally) -> None:
    with Wire(sandbox.url, {name: FAULTS[name]}, first=2).running() as wire:
        client = client_of(wire.url)
        missing = sum(lost(sandbox, client.call(METHOD, ASK | {"limit": 1000})) for _ in range(4))
    tally("Transport", name, injected=wire.injected[name], lost=missing)


HARMLESS = {
    "body longer than Content-Length",
    "garbage between two answers",
    "the same answer sent twice",
    "answers that lag one request behind",
    "keep-alive connection closed after the answer",
}
"""Faults that a fresh connection fixes: even when they never pass, the run goes on."""


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in HARMLESS])
def test_a_fault_that_stays_is_a_clear_error(name: str, sandbox: Sandbox, tally: Tally) -> None:
    with (
        Wire(sandbox.url, {name: FAULTS[name]}).running() as wire,
        pytest.raises(TransientError) as caught,
    ):
        client_of(wire.url, max_retries=2).call(METHOD, ASK)
    text = check_message(caught.value)
    assert wire.requests == 3
    if name.startswith("HTTP 50"):
        assert name[:8] in text
    tally("Transport", f"{name}, for good", injected=wire.injected[name], ends="error")


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_a_connection_that_is_never_clean_loses_nothing(
    name: str, sandbox: Sandbox, tally: Tally
) -> None:
    with Wire(sandbox.url, {name: FAULTS[name]}).running() as wire:
        client = client_of(wire.url)
        missing = sum(lost(sandbox, client.call(METHOD, ASK | {"limit": 1000})) for _ in range(5))
    tally("Transport", f"{name}, for good", injected=wire.injected[name], lost=missing)


@pytest.mark.parametrize("name", SILENCES)
def test_request_timeout_bounds_the_whole_request(
    name: str, sandbox: Sandbox, tally: Tally
) -> None:
    with Wire(sandbox.url, {name: SILENCES[name]}, first=2).running() as wire:
        client = client_of(wire.url, timeout=0.4, max_retries=1)
        began = time.monotonic()
        with pytest.raises(TransientError, match="request_timeout") as caught:
            client.call(METHOD, ASK)
        assert time.monotonic() - began < 10 * 2 * 0.4  # it would never end
        client._transport._timeout = 60  # time for an answer, however busy the machine
        missing = lost(sandbox, client.call(METHOD, ASK | {"limit": 1000}))
    check_message(caught.value)
    tally("Transport", name, injected=wire.injected[name], lost=missing)
    tally("Transport", f"{name}, for good", injected=wire.injected[name], ends="error")


def test_an_error_answer_to_another_id_is_not_taken_for_ours(
    sandbox: Sandbox, tally: Tally
) -> None:
    def blame(envelope: dict[str, Any]) -> None:
        envelope.pop("result")
        envelope |= {"id": "another", "error": {"data": {"mnemonic": "account_inactive"}}}

    name = "error answer to another id"
    with Wire(sandbox.url, {name: changed(blame)}, first=1).running() as wire:
        missing = lost(sandbox, client_of(wire.url).call(METHOD, ASK | {"limit": 1000}))
    tally("Transport", name, injected=wire.injected[name], lost=missing)


def test_sound_gzip_and_a_large_body_arrive_whole(sandbox: Sandbox, tally: Tally) -> None:
    def bulky(body: bytes) -> bytes:
        return gzip.compress(body + b" " * 50_000_000, 1)

    name = "50 MB in 0.2 MB of gzip"
    faults = {name: rewritten(bulky, "Content-Encoding: gzip")}
    with Wire(sandbox.url, faults, first=1).running() as wire:
        client = client_of(wire.url, max_retries=0, timeout=20)
        missing = lost(sandbox, client.call(METHOD, ASK | {"limit": 1000}))
    tally("Transport", name, injected=wire.injected[name], lost=missing)


# What the server asks for


def _in_two_seconds() -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize(
    ("code", "form"), [("429 Too Many Requests", "seconds"), ("503 Service Unavailable", "date")]
)
def test_retry_after_is_waited_for(code: str, form: str, sandbox: Sandbox, tally: Tally) -> None:
    def busy(line: Line) -> None:
        when = "1" if form == "seconds" else _in_two_seconds()
        status(code, f"Retry-After: {when}")(line)

    name = f"HTTP {code[:3]} with Retry-After as {form}"
    with Wire(sandbox.url, {name: busy}, first=1).running() as wire:
        began = time.monotonic()
        client = client_of(wire.url, timeout=60)
        missing = lost(sandbox, client.call(METHOD, ASK | {"limit": 1000}))
        waited = time.monotonic() - began
    assert waited > 0.9
    assert client.retries == 1
    tally("Transport", name, injected=wire.injected[name], lost=missing)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("99999999", 300),
        ("Fri, 31 Dec 2099 23:59:59 GMT", 300),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("-5", 0),
        ("soon", 0),
        ("1e400", 0),
        ("Fri, 99 Foo 9999999999 99:99:99 GMT", 0),
        ("", 0),
    ],
)
def test_retry_after_is_bounded_and_rubbish_is_ignored(
    value: str, seconds: float, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(Client, "_pause", lambda _self, pause: pauses.append(pause))
    faults = {"busy": status("503 Service Unavailable", f"Retry-After: {value}")}
    with Wire(sandbox.url, faults, first=1).running() as wire:
        client_of(wire.url).call("get.account")
    assert pauses == [pytest.approx(seconds, abs=0.03)]


LOCATIONS = ["{url}", "/v2.0", "https://[", "//", "\x1b[31mred", "http://127.0.0.1:99999/"]


@pytest.mark.parametrize("code", ["301 Moved Permanently", "307 Temporary Redirect", "302 Found"])
@pytest.mark.parametrize("location", LOCATIONS)
def test_a_redirect_is_never_followed(
    code: str, location: str, sandbox: Sandbox, tally: Tally
) -> None:
    where = location.format(url=sandbox.url)
    name = f"redirect (HTTP {code[:3]})"
    with (
        Wire(sandbox.url, {name: status(code, f"Location: {where}")}).running() as wire,
        pytest.raises(TapError, match="api_url") as caught,
    ):
        client_of(wire.url).call(METHOD, ASK)
    text = check_message(caught.value)
    assert text.isprintable()
    assert "redirect" in text
    assert sandbox.calls == []
    tally("Transport", name, injected=wire.injected[name], ends="error")


# The envelope


def metadata(envelope: dict[str, Any]) -> dict[str, Any]:
    """An answer's own; an error has none."""
    found: dict[str, Any] = envelope.get("result", {}).get("metadata", {})
    return found


def meters(value: object) -> Fault:
    return changed(lambda envelope: metadata(envelope).update(limits=value))


def result(**members: object) -> Fault:
    return changed(lambda envelope: envelope["result"].update(members))


def total(value: object) -> Fault:
    return changed(lambda envelope: metadata(envelope).update(total_items=value))


ODD_ENVELOPES: dict[str, Fault] = {
    "result is null": changed(lambda envelope: envelope.update(result=None)),
    "result is a list": changed(lambda envelope: envelope.update(result=[])),
    "result is missing": changed(lambda envelope: envelope.pop("result")),
    "error is a string": changed(lambda envelope: envelope.update(error="oops")),
    "error is a list": changed(lambda envelope: envelope.update(error=[])),
    "id is missing": changed(lambda envelope: envelope.pop("id")),
    "id is a number": changed(lambda envelope: envelope.update(id=1)),
    "data is missing": changed(lambda envelope: envelope["result"].pop("data")),
    "data is null": result(data=None),
    "data is an object": result(data={}),
    "data is a string": result(data="[]"),
    "metadata is a string": result(metadata="x"),
    "answer is a list": rewritten(lambda body: b"[" + body + b"]"),
    "answer is a number": rewritten(lambda body: b"1"),
    "nested too deep": rewritten(
        lambda body: body[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    ),
    "duplicate result": rewritten(
        lambda body: body[:-1] + b',"result":{"data":[],"metadata":{"total_items":0}}}'
    ),
    "duplicate data and total_items": rewritten(
        lambda body: body[:-2] + b',"metadata":{"total_items":0},"data":[]}}'
    ),
    "duplicate total_items": rewritten(
        lambda body: body.replace(b'"total_items":', b'"total_items":1,"total_items":')
    ),
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    """A collection at the bottom of a deep nesting makes pytest itself stumble."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", ODD_ENVELOPES)
def test_an_odd_envelope_is_asked_for_again(name: str, sandbox: Sandbox, tally: Tally) -> None:
    with Wire(sandbox.url, {name: ODD_ENVELOPES[name]}, first=2).running() as wire:
        missing = lost(sandbox, client_of(wire.url).call(METHOD, ASK | {"limit": 1000}))
    assert wire.requests == 3
    tally("Transport", name, injected=wire.injected[name], lost=missing)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", ODD_ENVELOPES)
def test_an_odd_envelope_that_stays_is_a_clear_error(
    name: str, sandbox: Sandbox, tally: Tally
) -> None:
    with (
        Wire(sandbox.url, {name: ODD_ENVELOPES[name]}).running() as wire,
        pytest.raises(TapError) as caught,
    ):
        client_of(wire.url, max_retries=1).call(METHOD, ASK)
    check_message(caught.value)
    tally("Transport", f"{name}, for good", injected=wire.injected[name], ends="error")


GARBAGE = ["x", [], [1], 5, True, {"day_remaining": "x"}, {"day_limit": -1, "day_remaining": -1}]
GARBAGE += [
    {f"{kind}_{what}": value for kind in ("day", "minute") for what in names}
    for names in (["limit", "remaining", "reset"], ["limit", "remaining"], ["remaining"])
    for value in ("x", None, [], {}, -3, 0.5, 1e308, "1e999", True)
]


def test_meters_of_garbage_neither_stop_nor_break_the_tap(sandbox: Sandbox, tally: Tally) -> None:
    missing = injected = 0
    for value in GARBAGE:
        with Wire(sandbox.url, {"meters": meters(value)}).running() as wire:
            client = client_of(wire.url, max_retries=0)
            for _ in range(2):
                missing += lost(sandbox, client.call(METHOD, ASK | {"limit": 1000}))
        assert client.seconds_waited < 5  # not the minute
        injected += wire.injected.total()
    tally("Transport", "meters of garbage", injected=injected, lost=missing)


@EVERY_HOST
@pytest.mark.parametrize(
    "value", [None, -1, "-1", 199.5, "x", True, [], "²", "9" * 5000, 1e308, 199, "199", 0, 201]
)
def test_a_wrong_total_items_never_means_fewer_records(
    host: Host,
    value: object,
    sandbox: Sandbox,
    tally: Tally,
    run_here: RunHere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tap_visitor_sessions.sessions.windows.reader.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("tap_visitor_sessions.sessions.windows.reader.LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("tap_visitor_sessions.sessions.windows.reader.TRIES", 3)
    with Wire(sandbox.url, {"total": total(value)}).running() as wire:
        run = run_here(host, config_of(wire.url, timezone=ZONE, page_size=1000, max_retries=1))
    check_error(run)
    assert run.records == []
    tally("Transport", "total_items is wrong", injected=wire.injected["total"], ends="error")


@pytest.mark.parametrize("value", [200, "200", 200.0])
def test_a_number_in_another_spelling_is_the_same_total_items(
    value: object, sandbox: Sandbox
) -> None:
    with Wire(sandbox.url, {"total": total(value)}).running() as wire:
        answer = client_of(wire.url).call(METHOD, ASK | {"limit": 1000})
    assert answer.total_items == 200


def test_a_listing_without_total_items_is_read_to_its_end(
    make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    monkeypatch.setattr(client_module, "LISTING_PAGE", 7)
    sandbox = make_sandbox(sessions=0, token=TOKEN, partner={n: [n * 10] for n in range(1, 30)})
    name = "listing without total_items"
    drop = changed(lambda envelope: envelope["result"]["metadata"].pop("total_items"))
    with Wire(sandbox.url, {name: drop}).running() as wire:
        users = client_of(wire.url).items("get.customer_users")
    tally("Transport", name, injected=wire.injected[name], lost=29 - len(users))


@pytest.mark.parametrize("seed", range(4))
def test_no_answer_however_mangled_escapes_as_anything_but_our_errors(
    seed: int, sandbox: Sandbox, tally: Tally
) -> None:
    source = random.Random(seed)

    def mangled(line: Line) -> None:
        data = bytearray(framed(line.ask()[:3000]))
        for _ in range(source.randint(1, 8)):
            place = source.randrange(source.choice([40, 130, 400, len(data)]))
            new = source.choice([b"", b"\r\n", b"\x00", b"\xff", b":", b" ", b"9", b"{", b'"'])
            data[place : place + source.randint(0, 3)] = new
        line.send(bytes(data))
        line.close()

    with Wire(sandbox.url, {"mangled": mangled}).running() as wire:
        client = client_of(wire.url, max_retries=0, timeout=2)
        for _ in range(60):
            try:
                client.call(METHOD, ASK | {"limit": 2})
            except TapError as problem:
                check_message(problem)
    tally("Transport", "random bytes mangled", injected=wire.injected["mangled"], ends="error")


@EVERY_HOST
def test_header_lines_that_are_none_show_no_traceback(
    host: Host, sandbox: Sandbox, run_here: RunHere, tally: Tally
) -> None:
    def odd(line: Line) -> None:
        line.send(framed(line.ask()).replace(b"\r\n\r\n", b"\r\nno header line\r\n\r\n", 1))

    name = "header lines that are none"
    with Wire(sandbox.url, {name: odd}).running() as wire:
        run = run_here(host, config_of(wire.url))
    assert "Traceback" not in run.stderr
    missing = check_whole(run, sandbox) if run.code == 0 else 0
    tally("Transport", name, injected=wire.injected[name], lost=missing)


# Hosts, TLS and proxies


def test_an_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch, tally: Tally) -> None:
    asked = []

    def unknown(*arguments: Any, **_more: Any) -> Any:
        asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"api\.invalid is not a known host") as caught:
        client_of("https://api.invalid/v2.0", max_retries=2).call("get.account")
    check_message(caught.value)
    tally("Transport", "DNS knows no such host", injected=len(asked), ends="error")


def test_dns_that_fails_for_a_while_recovers(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, tally: Tally
) -> None:
    real, failed = socket.getaddrinfo, []

    def flaky(*arguments: Any, **more: Any) -> Any:
        if len(failed) < 3:
            failed.append(arguments)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", flaky)
    missing = lost(sandbox, client_of(sandbox.url).call(METHOD, ASK | {"limit": 1000}))
    tally("Transport", "DNS fails for a while", injected=len(failed), lost=missing)


def test_tls_to_a_port_without_tls_is_a_clear_error(sandbox: Sandbox, tally: Tally) -> None:
    url = sandbox.url.replace("http:", "https:")
    with pytest.raises(Unreachable, match="TLS connection to 127") as caught:
        client_of(url, max_retries=1).call("get.account")
    check_message(caught.value)
    tally("Transport", "TLS to a port without TLS", injected=2, ends="error")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    key, own = path.with_name("key.pem"), path.with_name("certificate.pem")
    subprocess.run([*make, "-keyout", key, "-out", own], check=True, capture_output=True)
    path.write_bytes(key.read_bytes() + own.read_bytes())
    return path


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's side of TLS; the client trusts it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tls: ssl.SSLContext, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with (
        Wire(sandbox.url, {}, tls=tls).running() as wire,
        pytest.raises(Unreachable, match="No trusted TLS connection") as caught,
    ):
        client_of(wire.url, max_retries=1).call("get.account")
    check_message(caught.value)
    assert sandbox.calls == []
    tally("Transport", "certificate that nobody vouches for", injected=2, ends="error")


@pytest.mark.parametrize("name", ["body that drips and never ends", "silence within the header"])
def test_request_timeout_bounds_the_whole_request_over_tls(
    name: str, tls: ssl.SSLContext, sandbox: Sandbox, tally: Tally
) -> None:
    with Wire(sandbox.url, {name: SILENCES[name]}, first=1, tls=tls).running() as wire:
        client = client_of(wire.url, timeout=0.5)
        began = time.monotonic()
        missing = lost(sandbox, client.call(METHOD, ASK | {"limit": 1000}))
        assert time.monotonic() - began < 30  # it would never end
    tally("Transport", f"{name}, over TLS", injected=wire.injected[name], lost=missing)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_with_a_password_carries_the_calls(
    scheme: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tally: Tally,
) -> None:
    tls = request.getfixturevalue("tls") if scheme == "https" else None
    proxy = Proxy("user", PASSWORD)
    wire = Wire(sandbox.url, {"HTTP 502": status("502 Bad Gateway")}, first=1, tls=tls)
    with wire.running(), proxy.running():
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url)
        missing = lost(sandbox, client_of(wire.url).call(METHOD, ASK | {"limit": 1000}))
    assert proxy.passed >= 1
    assert proxy.refused == 0
    name = f"{scheme} through a proxy that wants a password, and a gateway that fails"
    tally("Transport", name, injected=wire.injected.total(), lost=missing)


REFUSALS = ["407 Proxy Authentication Required", "502 Bad Gateway", "403 Forbidden", "closed"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_proxy_that_refuses_is_named_and_its_password_is_not(
    refusal: str,
    scheme: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tally: Tally,
) -> None:
    proxy = Proxy("user", PASSWORD, refuses=refusal)
    with proxy.running(), caplog.at_level("DEBUG"):
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url)
        url = sandbox.url.replace("http:", f"{scheme}:")
        with pytest.raises(TapError) as caught:
            client_of(url, max_retries=1).call("get.account")
    check_message(caught.value)
    assert "_PROXY" in str(caught.value)
    assert PASSWORD not in caplog.text
    assert sandbox.calls == []
    tally("Transport", f"{scheme}: proxy refuses ({refusal})", injected=proxy.refused, ends="error")


@pytest.mark.parametrize(
    "proxy",
    [
        f"http://user:{PASSWORD}@127.0.0.1:9",
        f"http://user:{PASSWORD}@[",
        f"http://user:{PASSWORD}@",
        f"http://user:{PASSWORD}@127.0.0.1:99999",
        f"socks5://user:{PASSWORD}@127.0.0.1:9",
        f"nonsense://user:{PASSWORD}@127.0.0.1:9",
        f"https://user:{PASSWORD}@127.0.0.1:9",
    ],
    ids=["closed port", "no url", "no host", "no port", "socks", "no scheme", "https"],
)
def test_a_proxy_setting_that_cannot_work_is_named_and_its_password_is_not(
    proxy: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(TapError, match="HTTP_PROXY") as caught:
        client_of(sandbox.url, max_retries=1).call("get.account")
    check_message(caught.value)
    tally("Transport", "HTTP_PROXY that cannot work", injected=1, ends="error")


# Whole runs


@pytest.mark.one_host
@EVERY_HOST
@pytest.mark.parametrize("name", FAULTS)
def test_a_run_whose_requests_fail_a_third_of_the_time_emits_every_session(
    host: Host, name: str, sandbox: Sandbox, tally: Tally, run_here: RunHere
) -> None:
    with Wire(sandbox.url, {name: FAULTS[name]}, share=1 / 3, seed=7).running() as wire:
        run = run_here(host, config_of(wire.url))
    assert "Traceback" not in run.stderr
    missing = check_whole(run, sandbox)
    tally("Transport", name, injected=wire.injected[name], lost=missing)


@EVERY_HOST
def test_a_run_whose_answers_stall_a_third_of_the_time_emits_every_session(
    host: Host, sandbox: Sandbox, tally: Tally, run_here: RunHere
) -> None:
    with Wire(sandbox.url, SILENCES, share=1 / 3, seed=3).running() as wire:
        run = run_here(host, config_of(wire.url, request_timeout=1, concurrency=8))
    missing = check_whole(run, sandbox)
    for name, injected in wire.injected.items():
        tally("Transport", name, injected=injected, lost=missing)


@EVERY_HOST
def test_a_process_under_all_faults_at_once_emits_every_session(
    host: Host, sandbox: Sandbox, tally: Tally, tmp_path: Path
) -> None:
    with Wire(sandbox.url, FAULTS, share=1 / 3, seed=2).running() as wire:
        run = host.run_process(config_of(wire.url, page_size=20), directory=tmp_path).check()
    missing = check_whole(run, sandbox)
    tally("Transport", "all at once", injected=wire.injected.total(), lost=missing)


@pytest.mark.one_host
@EVERY_HOST
@pytest.mark.parametrize("name", [n for n in (*FAULTS, *ODD_ENVELOPES) if n not in HARMLESS])
def test_a_run_under_a_fault_that_stays_ends_with_one_clear_line(
    host: Host, name: str, sandbox: Sandbox, tally: Tally, run_here: RunHere
) -> None:
    fault = {**FAULTS, **ODD_ENVELOPES}[name]
    with Wire(sandbox.url, {name: fault}).running() as wire:
        run = run_here(host, config_of(wire.url, max_retries=1, timezone=ZONE))
    check_error(run)
    assert run.records == []
    tally("Transport", f"{name}, for good", injected=wire.injected[name], ends="error")


@EVERY_HOST
def test_a_run_that_loses_its_api_midway_ends_with_a_valid_state(
    host: Host, sandbox: Sandbox, tally: Tally, run_here: RunHere, tmp_path: Path
) -> None:
    def gone_later(line: Line) -> None:
        if wire.requests > 8:
            line.reset()
        else:
            line.answer(line.ask())

    with Wire(sandbox.url, {"gone": gone_later}).running() as wire:
        first = run_here(host, config_of(wire.url, max_retries=1, concurrency=1))
    check_error(first)
    assert 0 < len(first.records) < 200
    more = {"lookback_window": "PT0S"}
    second = host.run(config_of(sandbox.url, **more), state=first.state, directory=tmp_path).check()
    ids = {r["id"] for r in first.records} | {r["id"] for r in second.records}
    name = "the API is gone midway; the next run goes on"
    tally("Transport", name, injected=wire.injected["gone"] - 8, lost=200 - len(ids))
