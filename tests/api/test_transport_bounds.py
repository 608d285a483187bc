"""What a connection takes of an answer, and what it sends: bounded, and nothing unasked."""

from __future__ import annotations

import gzip
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import MakeSandbox

from sandbox.wire import Fault, Line, Wire, in_chunks, rewritten, status
from tap_visitor_sessions.api import transport as transport_module
from tap_visitor_sessions.api.client import Client
from tap_visitor_sessions.api.errors import TapError, TransientError

MB = 1 << 20


def refusal(sandbox_url: str, fault: Fault, **more: Any) -> TapError:
    with Wire(sandbox_url, {"it": fault}).running() as wire, pytest.raises(TapError) as caught:
        Client(wire.url, access_token="k", max_retries=0, **more).call("get.account")
    return caught.value


def chunked(body: bytes) -> Fault:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return lambda line: line.send(head + in_chunks(body) + b"0\r\n\r\n")


def _said_to_be_long(line: Line) -> None:
    line.answer(b" ", length=2000 * MB)


def _lying_gzip(body: bytes) -> bytes:
    return gzip.compress(body)[:-4] + bytes(4)


@pytest.mark.parametrize(
    "fault",
    [
        rewritten(lambda _: b" " * 3 * MB),
        chunked(b" " * 3 * MB),
        rewritten(lambda _: gzip.compress(b" " * 3 * MB), "Content-Encoding: gzip"),
        rewritten(lambda _: _lying_gzip(b" " * 3 * MB), "Content-Encoding: gzip"),
        rewritten(lambda _: gzip.compress(b" " * MB) * 3, "Content-Encoding: gzip"),
        _said_to_be_long,
    ],
    ids=["plain", "chunked", "gzip", "gzip that lies", "gzip of members", "length alone"],
)
def test_an_answer_that_is_too_large_is_not_held(
    fault: Fault, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "LARGEST_ANSWER", 2 * MB)
    found = refusal(make_sandbox(sessions=1).url, fault)
    assert str(found) == "The API sent an answer of more than 2 MB: lower page_size"
    assert not isinstance(found, TransientError)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip,gzip", "zstd", "x\x1by"])
def test_an_encoding_that_was_not_asked_for_is_refused(
    encoding: str, make_sandbox: MakeSandbox
) -> None:
    found = refusal(
        make_sandbox(sessions=1).url, rewritten(gzip.compress, f"Content-Encoding: {encoding}")
    )
    assert "Content-Encoding" in str(found)
    assert str(found).isprintable()
    assert not isinstance(found, TransientError)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity"])
def test_one_that_was_is_read(encoding: str, make_sandbox: MakeSandbox) -> None:
    change: Callable[[bytes], bytes] = bytes if encoding == "identity" else gzip.compress
    sandbox = make_sandbox(sessions=1)
    fault = rewritten(change, f"Content-Encoding: {encoding}")
    with Wire(sandbox.url, {"it": fault}).running() as wire:
        answer = Client(wire.url, access_token=sandbox.token).call("get.account")
    assert b"Acme" in bytes(answer.data)


BOMB = """
import sys
from tap_visitor_sessions.api import Client, TapError
try:
    Client(sys.argv[1], access_token="k", max_retries=0).call("get.account")
except TapError as problem:
    print(problem)
"""


def test_an_answer_that_would_fill_the_memory_ends_in_a_line(make_sandbox: MakeSandbox) -> None:
    """With as little memory as `ulimit -v` leaves: 800 MB within 0.8 MB of gzip."""
    block = gzip.compress(b" " * 8 * MB)
    fault = rewritten(lambda _: block * 100, "Content-Encoding: gzip")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1500 * MB, 1500 * MB))

    with Wire(make_sandbox(sessions=1).url, {"it": fault}).running() as wire:
        done = subprocess.run(
            [sys.executable, "-c", BOMB, wire.url],
            preexec_fn=limited,
            capture_output=True,
            text=True,
        )
    assert done.stdout == "The API sent an answer of more than 448 MB: lower page_size\n"
    assert not done.stderr


def test_what_netrc_holds_is_not_sent(
    make_sandbox: MakeSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password of-another-host\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    sandbox = make_sandbox(sessions=1)
    heads: list[Any] = []
    ask = Wire._answer

    def noting(self: Wire, line: Line, request: Any, *more: Any) -> None:
        heads.append(request.headers)
        ask(self, line, request, *more)

    monkeypatch.setattr(Wire, "_answer", noting)
    with Wire(sandbox.url, {}).running() as wire:
        Client(wire.url, access_token=sandbox.token).call("get.account")
    assert heads
    assert not [head for head in heads if "Authorization" in head]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "empty of any"])
def test_a_file_of_authorities_that_cannot_be_used_names_its_variable(
    variable: str, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(variable, str(path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v2.0"
        with pytest.raises(TapError, match=variable):
            Client(url, access_token="k", max_retries=0).call("get.account")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_socks_proxy_needs_its_package(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setitem(sys.modules, "urllib3.contrib.socks", None)
    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", _missing)
    monkeypatch.setenv(variable, "socks5://127.0.0.1:9")
    with pytest.raises(TapError, match=f"{variable} names a SOCKS proxy.*PySocks"):
        Client("https://192.0.2.1/v2.0", access_token="k", max_retries=0).call("get.account")


def _missing(*_: Any, **__: Any) -> None:
    from requests.exceptions import InvalidSchema

    raise InvalidSchema("Missing dependencies for SOCKS support.")


def test_a_403_speaks_of_allowlist_and_firewall(make_sandbox: MakeSandbox) -> None:
    found = str(refusal(make_sandbox(sessions=1).url, status("403 Forbidden")))
    for word in ("api_url", "allowlist", "firewall"):
        assert word in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSLKEYLOGFILE", "/nonexistent/keys"),
        ("REQUESTS_CA_BUNDLE", __file__),
        ("HTTPS_PROXY", "http://user:пароль@127.0.0.1:{port}"),
    ],
)
def test_a_variable_that_cannot_work_is_named_at_once(
    name: str, value: str, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = make_sandbox(sessions=0)
    port = str(urlsplit(sandbox.url).port)
    for other in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value.format(port=port))
    host = "nowhere.example" if name == "HTTPS_PROXY" else f"127.0.0.1:{port}"
    client = Client(f"https://{host}/v2.0", access_token="k", max_retries=3)
    with pytest.raises(TapError, match=name) as caught:
        client.call("get.account")
    assert "парол" not in str(caught.value)
    assert client.retries == 0
