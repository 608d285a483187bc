"""One POST over HTTP: bytes there, bytes back, or a clear error. Knows no JSON.

Source: what gateways and networks do to HTTP. `request_timeout` bounds the whole request: the
timeout of requests alone bounds each read, so a slow drip would never end.
"""

from __future__ import annotations

import gzip
import io
import logging
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema, InvalidURL, ProxyError, SSLError
from urllib3.exceptions import ReadTimeoutError

from tap_visitor_sessions.api.errors import TapError, TransientError, Unreachable, number
from tap_visitor_sessions.api.redaction import shown

CONNECT_TIMEOUT = 10.0
"""Seconds at most to wait for a connection."""
CLOCKS_DIFFER = timedelta(minutes=1)
"""What a clock may be ahead of another without a word."""
LARGEST_ANSWER = 448 << 20
"""Bytes of an answer at most, as it comes and unpacked; one of 10 000 sessions has some 25 MB."""
_PIECE = 1 << 20
OLDEST = 2011
"""The year of the first sessions."""
LONGEST_RETRY_AFTER = 300.0
"""Seconds at most to heed a Retry-After."""

# urllib3 shows a traceback for a header line it cannot read; the answer is checked without it.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Arrival:
    """How an answer came.

    Attributes:
        headers: Their names, in lower case.
        encoding: `Content-Encoding`; "" for none.
        size: Bytes of its body, unpacked.
        seconds: From the request to the end of the answer.
        clock_offset: How far the server's clock is ahead of this machine's, in seconds, give or
            take `seconds`; None when its `Date` cannot be read.
    """

    headers: frozenset[str]
    encoding: str
    size: int
    seconds: float
    clock_offset: float | None


class Transport:
    """Posts to one URL; safe to use from several threads, each with its own connection."""

    def __init__(self, url: str, *, timeout: float, user_agent: str) -> None:
        self._url = url
        self._timeout = timeout
        self._headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "Accept-Encoding": "gzip",
            "User-Agent": user_agent,
        }
        self._local = threading.local()
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._host = parts.netloc.rpartition("@")[2]
        self.arrived: Arrival | None = None
        """How the last answer came."""
        self.clock_lead: timedelta | None = None
        """By how much this machine's clock is ahead of the API's, by the first `Date` that came;
        None before. Up to CLOCKS_DIFFER it counts as none."""
        self.clock_lag = timedelta(0)
        """By how much it is behind, likewise."""

    def post(self, body: bytes, timeout: float | None = None) -> bytes:
        """The body of the answer, whole and with HTTP status 200.

        Args:
            timeout: Seconds for the whole request; None: those of all requests.

        Raises:
            TransientError, Unreachable: worth another try, on a fresh connection.
            TapError: no use in another try.
        """
        try:
            return self._post(body, timeout or self._timeout)
        except (TransientError, Unreachable):
            self.drop()
            raise

    def drop(self) -> None:
        """Close this thread's connection: what else arrives on it cannot be trusted."""
        self._session().close()

    def _post(self, body: bytes, timeout: float) -> bytes:
        connect = min(CONNECT_TIMEOUT, timeout)
        # Any: requests takes urllib3's timeout, but its types do not say so.
        limits: Any = urllib3.Timeout(total=timeout, connect=connect, read=timeout)
        asked = datetime.now(timezone.utc)
        try:
            with self._session().post(self._url, data=body, timeout=limits, stream=True) as answer:
                self._check_status(answer)
                if self.clock_lead is None:
                    date, came = answer.headers.get("Date"), datetime.now(timezone.utc)
                    self.clock_lead = clock_lead(date, asked, came)
                    self.clock_lag = clock_lag(date, came)
                body = self._body(answer)
                self.arrived = _arrival(answer, len(body), asked)
                return body
        except (InvalidURL, InvalidSchema, TypeError) as problem:  # TypeError: a proxy without host
            if "SOCKS" in str(problem):
                names = " and ".join(self._proxy_variable()) or "the proxy settings"
                raise TapError(
                    f"{names} names a SOCKS proxy, for which a package is missing: install PySocks "
                    "beside the tap, or name an HTTP proxy"
                ) from None
            names = " and ".join(["api_url", *self._proxy_variable()])
            raise TapError(f"No way to {self._host} can be made out: check {names}") from None
        except (requests.ConnectionError, requests.Timeout, ReadTimeoutError) as problem:
            raise self._unreached(problem) from None
        except UnicodeEncodeError:
            names = " and ".join(self._proxy_variable()) or "api_url"
            raise TapError(
                f"{names} holds letters that HTTP has no bytes for: write them URL-encoded (%D0%B6)"
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as problem:
            raise TransientError(f"The answer broke off ({_cause(problem)})") from None
        except OSError as problem:  # of requests, before it connects
            if "certificate" not in str(problem):
                raise
            raise TapError(
                f"The file with the certificates of authorities that {_bundle()} names is not "
                "there: correct it, or unset it"
            ) from None

    def _body(self, answer: requests.Response) -> bytes:
        """The body, read piece by piece: what is too large is never held."""
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise TapError(
                f"{self._where()} sent an answer in the Content-Encoding {shown(encoding)}, which "
                "was not asked for: check api_url and what stands in between"
            )
        length = number(answer.headers.get("Content-Length"))
        if length is not None and length > LARGEST_ANSWER:
            raise _too_large()
        # urllib3 counts the bytes against Content-Length and raises when some lack.
        held = _held(answer.raw.stream(_PIECE, decode_content=False))
        if "gzip" not in encoding:
            return held.getvalue()
        held.seek(max(held.tell() - 4, 0))
        says = int.from_bytes(held.read(), "little")
        try:
            if says > LARGEST_ANSWER:  # counted before any of it is held
                _measure(_unpacked(held))
            return _held(_unpacked(held)).getvalue()
        except (OSError, EOFError, zlib.error) as problem:
            raise TransientError(f"The answer broke off ({type(problem).__name__})") from None

    def _unreached(self, problem: Exception) -> TapError:
        text = str(problem)
        if isinstance(problem, ProxyError):
            return Unreachable(self._proxy_refusal(text))
        if "NO_CERTIFICATE" in text:
            return TapError(
                f"The file that {_bundle()} names holds no certificate: correct it, or unset it"
            )
        cause = _cause(problem)
        if cause in _NO_FILE and os.environ.get("SSLKEYLOGFILE"):
            return TapError(
                "The file that SSLKEYLOGFILE names cannot be written to: correct it, or unset it"
            )
        if isinstance(problem, SSLError):
            return Unreachable(
                f"No trusted TLS connection to {self._where()}: check api_url and the proxy; a "
                f"certificate of an authority of one's own is trusted where {_bundle()} names a "
                "file with that authority's (SSL_CERT_FILE is not heeded)"
            )
        if isinstance(problem, requests.ReadTimeout) or "Read timed out" in text:
            return TransientError(
                f"{self._where()}: no answer within {self._timeout:g} s (request_timeout)"
            )
        if "NameResolution" in text:
            return Unreachable(
                f"{self._where()} is not a known host: check api_url and the name server"
            )
        if isinstance(problem, requests.ConnectTimeout) or "NewConnectionError" in text:
            return Unreachable(
                f"{self._where()} cannot be reached: check api_url, the network and the proxy "
                "settings"
            )
        return TransientError(f"The connection to {self._where()} broke off ({cause})")

    def _proxy_refusal(self, text: str) -> str:
        names = " and ".join(self._proxy_variable()) or "the proxy settings"
        status = re.search(r"Tunnel connection failed: (\d{3})", text)
        if status is None:
            return f"The proxy in front of {self._host} cannot be reached: check {names}"
        what = f"The proxy in front of {self._host} refuses with HTTP {status[1]}"
        hint = "its user and password in " if status[1] == "407" else ""
        return f"{what}: check {hint}{names}"

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        where = self._where()
        if status >= 500 or status in (408, 429):
            problem = TransientError(f"The gateway of {where} answered HTTP {status}")
            problem.retry_after = retry_after(response.headers.get("Retry-After"))
            raise problem
        if 300 <= status < 400:
            raise TapError(
                f"{where} answered with a redirect (HTTP {status}), which is never followed "
                "with a key: check api_url"
            )
        hint = "api_url"
        if status == 403:
            hint = (
                "api_url, whether this machine's address is on the account's allowlist, and "
                "whether a firewall or proxy in between refuses it"
            )
        if status == 407:
            names = " and ".join(self._proxy_variable()) or "the proxy settings"
            hint = f"the proxy's user and password in {names}"
        raise TapError(f"{where} answered HTTP {status}: check {hint}")

    def _where(self) -> str:
        """The host, and the way to it; never with a user or password."""
        return " through the proxy of ".join([self._host, *self._proxy_variable()])

    def _proxy_variable(self) -> list[str]:
        """The environment variable whose proxy stands in between, or none."""
        try:
            proxies = requests.utils.get_environ_proxies(self._url)
        except ValueError:
            proxies = {}
        for name in (self._scheme, "all"):
            if name in proxies:
                upper = f"{name}_proxy".upper()
                return [upper if upper in os.environ else upper.lower()]
        return []

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session()
            session.auth = _nothing
            session.headers.update(self._headers)
            for scheme in ("https://", "http://"):
                session.mount(scheme, _Adapter())
        return session


_NO_FILE = {"FileNotFoundError", "IsADirectoryError", "NotADirectoryError", "PermissionError"}


def _arrival(answer: requests.Response, size: int, asked: datetime) -> Arrival:
    came, date = datetime.now(timezone.utc), _date(answer.headers.get("Date"))
    return Arrival(
        headers=frozenset(name.lower() for name in answer.headers),
        encoding=answer.headers.get("Content-Encoding", "").strip().lower(),
        size=size,
        seconds=(came - asked).total_seconds(),
        clock_offset=None if date is None else (date - came).total_seconds(),
    )


def _held(pieces: Iterable[bytes]) -> io.BytesIO:
    held = io.BytesIO()
    for piece in pieces:
        held.write(piece)
        if held.tell() > LARGEST_ANSWER:
            raise _too_large()
    return held


def _measure(pieces: Iterable[bytes]) -> None:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > LARGEST_ANSWER:
            raise _too_large()


def _unpacked(packed: io.BytesIO) -> Iterator[bytes]:
    packed.seek(0)
    with gzip.GzipFile(fileobj=packed) as file:
        yield from iter(lambda: file.read(_PIECE), b"")


def _too_large() -> TapError:
    return TapError(
        f"The API sent an answer of more than {LARGEST_ANSWER >> 20} MB: lower page_size"
    )


def _bundle() -> str:
    """The environment variable that names the authorities trusted."""
    # As requests looks for it.
    if not os.environ.get("REQUESTS_CA_BUNDLE") and os.environ.get("CURL_CA_BUNDLE"):
        return "CURL_CA_BUNDLE"
    return "REQUESTS_CA_BUNDLE"


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After asks for, as seconds or as a date; None when unreadable."""
    seconds = number(value)
    if seconds is None:
        when = _date(value)
        if when is None:
            return None
        seconds = (when - datetime.now(timezone.utc)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def clock_lead(date: str | None, asked: datetime, came: datetime) -> timedelta | None:
    """By how much a clock is ahead of the server's; None when the `Date` cannot be read.

    Args:
        date: The answer's `Date`.
        asked: When the request went, by the clock in question.
        came: When the answer came.
    """
    theirs = _date(date)
    if theirs is None or theirs.year < OLDEST:  # a server without a clock
        return None
    # An answer is not dated before its request: this much it is ahead at the least.
    if asked - theirs <= CLOCKS_DIFFER:
        return timedelta(0)
    return came - theirs  # and this much at the most


def clock_lag(date: str | None, came: datetime) -> timedelta:
    """By how much, at the least, a clock is behind the server's; arguments as of `clock_lead`."""
    theirs = _date(date)
    # An answer is not dated after it came.
    behind = timedelta(0) if theirs is None else theirs - came
    return behind if behind > CLOCKS_DIFFER else timedelta(0)


def _date(value: str | None) -> datetime | None:
    """A date of HTTP."""
    try:
        when = parsedate_to_datetime(value or "")
        return when.astimezone(timezone.utc) if when.tzinfo else when.replace(tzinfo=timezone.utc)
    except (ValueError, TypeError, OverflowError):
        return None


def _cause(problem: BaseException) -> str:
    """The kind of the innermost error; its text could hold anything."""
    for _ in range(10):  # causes can go in a circle
        inner = [problem.__cause__, getattr(problem, "reason", None), *problem.args]
        deeper = next((item for item in inner if isinstance(item, BaseException)), None)
        if deeper is None:
            break
        problem = deeper
    return type(problem).__name__


def _nothing(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No authentication of HTTP: without one of its own, requests takes that of ~/.netrc."""
    return request


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: the key in the body goes nowhere but to api_url."""


class _Until(io.RawIOBase):
    """The bytes of a socket until a moment, however slowly they come."""

    def __init__(self, sock: socket.socket, stream: io.RawIOBase) -> None:
        self._sock = sock
        self._stream = stream
        self._allowed = sock.gettimeout()
        self._end = None if self._allowed is None else time.monotonic() + self._allowed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            # The connection may serve the next request, which has its own time.
            if self._sock.fileno() >= 0:
                self._sock.settimeout(self._allowed)
            self._stream.close()
        super().close()


class _Response(HTTPResponse):
    """An answer all of which has to arrive within the socket's timeout."""

    def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self.fp = io.BufferedReader(_Until(sock, self.fp.detach()))


class _HTTPConnection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    """Makes connections whose answers have a deadline, directly and through HTTP proxies."""

    _POOLS = {"http": _HTTPPool, "https": _HTTPSPool}  # noqa: RUF012

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = self._POOLS

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **more)
        if isinstance(manager, urllib3.ProxyManager) and proxy.lower().startswith("http"):
            manager.pool_classes_by_scheme = self._POOLS
        return manager
