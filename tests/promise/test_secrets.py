"""No secret is ever shown: every scenario at debug level, all output searched."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from conftest import MakeSandbox, Tally
from support import config_of, run_tap

from sandbox import Faults, Limits, Sandbox
from sandbox.wire import Proxy
from tap_visitor_sessions.api import client as client_module
from tap_visitor_sessions.api.client import Client
from tap_visitor_sessions.api.errors import TapError
from tap_visitor_sessions.api.redaction import redacted

TOKEN = "tök3n/with+odd=chars&more"
LOGIN = "anna.müller+api@example.com"
PASSWORD = 'p&ss "wörd"/100%'
PROXY_PASSWORD = "pr0xy-s3cret"


def forms(secret: str) -> Iterator[str]:
    """The ways in which a secret could lie in a text."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    raw = secret.encode()
    for shift in range(3):  # within a longer text, base64 has three phases
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        yield encoded[(0, 2, 3)[shift] : len(encoded) // 4 * 4 - 4]


def shown(text: str, secrets: set[str]) -> list[str]:
    return [form for secret in secrets for form in forms(secret) if form in text]


def plain(sandbox: Sandbox) -> dict[str, Any]:
    return {"access_token": sandbox.token}


def by_login(sandbox: Sandbox) -> dict[str, Any]:
    return {"login": sandbox.login, "password": sandbox.password}


def storage_of(root: str, secret: str) -> dict[str, Any]:
    storage = {"root": root, "params": {"secret": secret}}
    return {"encoding": {"format": "jsonl"}, "storage": storage}


METHOD = "get.visitor_sessions_report"
SCENARIOS: dict[str, tuple[dict[str, Any], Callable[[Sandbox], dict[str, Any]], list[str]]] = {
    "a good run": ({}, plain, []),
    "a good run by login": ({}, by_login, []),
    "a wrong key": ({}, lambda s: {"access_token": TOKEN + "x"}, []),
    "a wrong password": ({}, lambda s: {"login": LOGIN, "password": PASSWORD + "x"}, []),
    "a session that ends": (
        {"faults": Faults(errors={METHOD: ["access_token_expired"]})},
        by_login,
        [],
    ),
    "a blocked key": ({"faults": Faults(errors={METHOD: ["access_token_blocked"]})}, plain, []),
    "an unknown error": ({"faults": Faults(errors={METHOD: ["oh_no"]}), "echo": TOKEN}, plain, []),
    "an error that repeats the key": (
        {"faults": Faults(errors={METHOD: ["invalid_parameter_value"]}), "echo": TOKEN},
        plain,
        [],
    ),
    "an error that repeats the password": (
        {"faults": Faults(errors={"login.user": ["oh_no"]}), "echo": PASSWORD},
        by_login,
        [],
    ),
    "an address not on the list": ({"allowed_ips": set()}, plain, []),
    "HTML instead of JSON": ({"faults": Faults(html_200_rate=1)}, plain, []),
    "gateway errors": ({"faults": Faults(http_error_rate=1)}, by_login, []),
    "connections reset": ({"faults": Faults(reset_rate=1)}, by_login, []),
    "bodies cut": ({"faults": Faults(cut_body_rate=1)}, plain, []),
    "another id": ({"faults": Faults(wrong_id_rate=1)}, plain, []),
    "a day's limit": ({"limits": Limits(day=1)}, plain, []),
    "no host": ({}, lambda s: {"access_token": TOKEN, "api_url": "http://127.0.0.1:9/v2.0"}, []),
    "a key of the wrong kind": ({}, lambda s: {"access_token": [TOKEN]}, []),
    "a password of the wrong kind": (
        {},
        lambda s: {"login": LOGIN, "password": {"a": PASSWORD}},
        [],
    ),
    "both key and login": ({}, lambda s: {**plain(s), **by_login(s)}, []),
    "a setting that cannot work": ({}, lambda s: {**plain(s), "page_size": -1}, []),
    "a secret in api_url": (
        {},
        lambda s: {**plain(s), "api_url": f"https://u:{PROXY_PASSWORD}@127.0.0.1/"},
        [],
    ),
    "a key of a storage that is not known": (
        {},
        lambda s: {**plain(s), "batch_config": storage_of("nope://x", PASSWORD)},
        [],
    ),
    "a key of a storage beside what cannot work": (
        {},
        lambda s: {**plain(s), "batch_config": {**storage_of("x", PASSWORD), "batch_size": 0}},
        [],
    ),
    "settings with secrets that are no objects": (
        {},
        lambda s: {**plain(s), "batch_config": PASSWORD, "stream_map_config": PROXY_PASSWORD},
        [],
    ),
    "the key in another setting too": (
        {},
        lambda s: {**plain(s), "start_date": TOKEN, "timezone": f"x{TOKEN}", "page_size": TOKEN},
        [],
    ),
    "a password among names of columns": (
        {},
        lambda s: {**by_login(s), "exclude_columns": [PASSWORD]},
        [],
    ),
    "a secret in the query of api_url": (
        {},
        lambda s: {**plain(s), "api_url": f"{s.url}?key={quote(PROXY_PASSWORD)}"},
        [],
    ),
    "a key of hashes": (
        {},
        lambda s: {**plain(s), "hash_columns": ["visitor_ip_address"], "hash_key": PASSWORD},
        [],
    ),
    "a key of hashes that has nothing to hash": (
        {},
        lambda s: {**plain(s), "hash_key": PASSWORD},
        [],
    ),
    "discovery": ({}, plain, ["--discover"]),
    "a connection test": ({}, by_login, ["--test"]),
    "about": ({}, plain, ["--about", "--format=json"]),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_scenario_shows_a_secret(
    name: str, make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    options, credentials, arguments = SCENARIOS[name]
    options = dict(options)
    echo = options.pop("echo", None)
    sandbox = make_sandbox(sessions=50, token=TOKEN, login=LOGIN, password=PASSWORD, **options)
    sandbox.echo = echo
    config = config_of(sandbox, max_retries=1, **credentials(sandbox))
    if "access_token" not in credentials(sandbox):
        del config["access_token"]
    run = run_tap(
        config,
        *arguments,
        directory=tmp_path,
        env={"TAP_VISITOR_SESSIONS_LOGLEVEL": "DEBUG", "LOGLEVEL": "DEBUG"},
    )
    output = run.stdout + run.stderr
    assert output
    if echo:
        assert "***" in output  # it was about to be shown
    secrets = {TOKEN, LOGIN, PASSWORD, PROXY_PASSWORD, *sandbox.tokens}
    assert not shown(output, secrets)
    tally("Secrets", name, injected=1, ends="recovers" if run.code == 0 else "error")


def test_a_proxy_password_is_not_shown(
    make_sandbox: MakeSandbox, tmp_path: Path, tally: Tally
) -> None:
    sandbox = make_sandbox(sessions=50, token=TOKEN)
    for refuses in (False, True):
        with Proxy("u", "another" if refuses else PROXY_PASSWORD).running() as proxy:
            url = proxy.url.replace("another", PROXY_PASSWORD)
            env = {"HTTP_PROXY": url, "http_proxy": url, "NO_PROXY": "", "no_proxy": ""}
            run = run_tap(
                config_of(sandbox, max_retries=1),
                directory=tmp_path,
                env={**env, "LOGLEVEL": "DEBUG", "TAP_VISITOR_SESSIONS_LOGLEVEL": "DEBUG"},
            )
        assert run.code == (1 if refuses else 0), run.stderr
        assert not shown(run.stdout + run.stderr, {TOKEN, PROXY_PASSWORD, f"u:{PROXY_PASSWORD}"})
    tally("Secrets", "a proxy with a password, which it takes or refuses", injected=2)


@pytest.mark.parametrize("rate", ["http_error", "html_200", "cut_body", "reset", "bad_utf8"])
def test_exception_chains_and_the_logs_of_requests_hold_no_secret(
    rate: str,
    make_sandbox: MakeSandbox,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tally: Tally,
) -> None:
    monkeypatch.setattr(client_module, "BACKOFF", (0.0, 0.0))
    sandbox = make_sandbox(sessions=5, login=LOGIN, password=PASSWORD)
    client = Client(sandbox.url, login=LOGIN, password=PASSWORD, max_retries=1)
    with caplog.at_level(logging.DEBUG):
        client.call("get.account")
        sandbox.faults = Faults(**{f"{rate}_rate": 1})
        span = {"date_from": "2024-05-01 00:00:00", "date_till": "2024-05-02 00:00:00"}
        with pytest.raises(TapError) as caught:
            client.call(METHOD, span)
    text = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(client)
    problem: BaseException | None = caught.value
    while problem is not None:  # the chain that a traceback leaves out, too
        text += repr(problem) + str(problem)
        problem = problem.__cause__ or problem.__context__
    assert len(sandbox.tokens) == 1
    assert not shown(text, {LOGIN, PASSWORD, *sandbox.tokens})
    tally("Secrets", f"exception chain and logs after {rate}", injected=2, ends="error")


def test_the_search_for_secrets_finds_them() -> None:
    for secret in (TOKEN, LOGIN, PASSWORD):
        for text in (
            secret,
            json.dumps({"x": secret}),
            quote(secret),
            base64.b64encode(secret.encode()).decode(),
            base64.b64encode(f"u:{secret}".encode()).decode(),
        ):
            assert shown(f"before {text} after", {secret}), text
    assert redacted(f"no {TOKEN} here", [TOKEN]) == "no *** here"


def test_plain_http_is_refused_outside_loopback(tmp_path: Path, tally: Tally) -> None:
    for url in (
        "http://192.0.2.1/v2.0",
        "http://localhost.example/v2.0",
        "http://127.0.0.1.example",
    ):
        config = {"api_url": url, "access_token": TOKEN, "start_date": "2024-05-01"}
        run = run_tap(config, directory=tmp_path)
        assert run.code == 1
        assert "api_url: plain http would send the key unencrypted" in run.stderr
    tally("Secrets", "plain http outside loopback", injected=3, ends="error")
