"""The Data API on loopback: JSON-RPC over HTTP, with the vendor's documented limits."""

from __future__ import annotations

import asyncio
import calendar
import gzip
import random
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import formatdate
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.columns import COLUMNS, DEFAULT, NUMBERS, SORTABLE
from sandbox.data import make_sessions
from sandbox.faults import Faults, Limits, Meters
from sandbox.filters import Refused, compiled
from sandbox.store import Row, Store, ordered

REPORT = "get.visitor_sessions_report"
FORMAT = "%Y-%m-%d %H:%M:%S"
COMPONENTS = ["call_tracking", "consultant", "lead", "sitephone"]
CODES = {
    "limit_exceeded": -32029,
    "access_token_expired": -32001,
    "access_token_invalid": -32001,
    "access_token_blocked": -32001,
    "auth_error": -32001,
    "ip_not_whitelisted": -32003,
    "forbidden": -32003,
    "method_component_disabled": -32008,
    "account_inactive": -32009,
    "internal_error": -32603,
    "method_not_found": -32601,
    "parse_error": -32700,
    "invalid_request": -32600,
    "notifications_not_supported": -32099,
    "batch_operations_not_supported": -32099,
}
BREAKS = (
    "http_error_rate",
    "html_200_rate",
    "cut_body_rate",
    "truncated_json_rate",
    "reset_rate",
    "wrong_id_rate",
    "bad_utf8_rate",
)
REPORT_PARAMS = {
    "access_token",
    "user_id",
    "limit",
    "offset",
    "filter",
    "fields",
    "sort",
    "date_from",
    "date_till",
}


@dataclass(frozen=True)
class Call:
    """A call that the sandbox has seen."""

    method: str
    params: dict[str, Any]
    mnemonic: str | None
    rows: int
    at: float
    http_fault: str | None = None


class Sandbox:
    """The API with one account's data. Use as `with Sandbox(...).running() as sandbox`.

    Args:
        rows: Sessions to hold; else `sessions` of them are made by `seed`, from `first_id` on.
        partner: Customer id -> its user ids; makes the account a partner's.
        rows_by_user: Partner: sessions of each user (default: each user sees `rows`).
        statuses: Partner: customer id -> its status, where that is not `active`; an `archived`
            one is left out of get.customers, though its users are still listed.
        refusals: Partner: customer id -> mnemonic with which its reports are refused.
        session_calls: Calls after which the session of a login ends; None: none.
        silent: Partner: customers whose reports are answered HTTP 504 for good.
        refused_columns: Column -> mnemonic with which a report that asks for it is refused.
        refused_for: Partner: only for these users.
        names_refused: Whether such a refusal names the column.
        longest_days: Days of a span at most; None: three calendar months.
        miscounts: So many more rows are counted in `total_items` of each report.
        bare_errors: Whether errors come without metadata.
        components_text: Whether a refusal names the components as one text.
        app_id: The account's id.
        configuration: Whether the component that getobj.account needs is on.
        customer_timezones: Partner: customer id -> its zone, where that is not `timezone`.
        forbidden_users: Partner: users without the right to the report.
        default_columns: Those that come where a request names none.
        most_rows: The largest `limit`.
        no_rows: What stands in place of the rows where there are none: `[]` or `null`.
    """

    def __init__(
        self,
        *,
        rows: Iterable[Row] | None = None,
        sessions: int = 1000,
        first_id: int = 1_000_000,
        seed: int = 0,
        start: datetime = datetime(2024, 5, 1),
        end: datetime = datetime(2024, 5, 31),
        timezone: str = "Europe/Moscow",
        token: str = "sandbox-token",
        login: str = "demo@example.com",
        password: str = "sandbox-password",
        limits: Limits | None = None,
        faults: Faults | None = None,
        session_lifetime: float = 3600.0,
        session_calls: int | None = None,
        partner: Mapping[int, list[int]] | None = None,
        rows_by_user: Mapping[int, Iterable[Row]] | None = None,
        statuses: Mapping[int, str] | None = None,
        refusals: Mapping[int, str] | None = None,
        allowed_ips: set[str] | None = None,
        disabled_component: bool = False,
        silent: set[int] | None = None,
        refused_columns: Mapping[str, str] | None = None,
        refused_for: set[int] | None = None,
        names_refused: bool = True,
        longest_days: int | None = None,
        miscounts: int = 0,
        bare_errors: bool = False,
        components_text: bool = False,
        app_id: int = 1,
        configuration: bool = False,
        customer_timezones: Mapping[int, str] | None = None,
        forbidden_users: Iterable[int] = (),
        default_columns: Sequence[str] = DEFAULT,
        most_rows: int = 10_000,
        no_rows: str = "[]",
    ) -> None:
        made = rows
        if made is None:
            made = make_sessions(sessions, seed=seed, start=start, end=end, first_id=first_id)
        self._stores: dict[int | None, Store] = {None: Store(made)}
        for user, its_rows in (rows_by_user or {}).items():
            self._stores[user] = Store(its_rows)
        self.timezone = timezone
        self.token = token
        self.login = login
        self.password = password
        self.faults = faults or Faults()
        self.meters = Meters(limits or Limits())
        self.session_lifetime = session_lifetime
        self.session_calls = session_calls
        self.partner = partner
        self.statuses = dict(statuses or {})
        self.refusals = dict(refusals or {})
        self.allowed_ips = allowed_ips
        self.disabled_component = disabled_component
        self.silent = set(silent or ())
        self.refused_columns = dict(refused_columns or {})
        self.refused_for = refused_for
        self.names_refused = names_refused
        self.longest_days = longest_days
        self.miscounts = miscounts
        self.bare_errors = bare_errors
        self.components_text = components_text
        self.app_id = app_id
        self.configuration = configuration
        self.customer_timezones = dict(customer_timezones or {})
        self.forbidden_users = set(forbidden_users)
        self.default_columns = list(default_columns)
        self.most_rows = most_rows
        self.no_rows = no_rows
        self.calls: list[Call] = []
        """Calls answered so far, oldest first."""
        self.injected: Counter[str] = Counter()
        """How often each fault has reached a client, by its name in `Faults`; a broken answer
        hides those within it."""
        self._within: Counter[str] = Counter()
        self.most_at_once = 0
        self.called: str | None = None
        """The name of the account, and the beginning of those of a partner's customers."""
        self.refusal_of_spans = "date_interval_limit_reached"
        """With which a span is refused that is too long."""
        self.echo: str | None = None
        """What every refusal repeats in its texts, as careless servers do."""
        self.tokens: list[str] = []
        """Tokens of all login sessions so far."""
        self._at_once = 0
        self.url = ""
        self._seed = seed
        self._random = random.Random(seed)
        self._sessions: dict[str, float] = {}
        self._calls_of: Counter[str] = Counter()

    # For tests

    @property
    def reports(self) -> list[Call]:
        """The calls of the report method."""
        return [call for call in self.calls if call.method == REPORT]

    def rows(self, user_id: int | None = None) -> list[Row]:
        """The sessions held, as the API would write them plainly."""
        return self._store(user_id).rows()

    def hold(self, rows: Iterable[Row], *, timezone: str, faults: Faults) -> None:
        """Become another account: its sessions, its zone, its moods; the calls are forgotten,
        and what was injected into them."""
        self._stores = {None: Store(rows)}
        self.timezone, self.faults = timezone, faults
        self.calls.clear()
        self.injected.clear()
        self.most_at_once = 0

    def add(self, rows: Iterable[Row], user_id: int | None = None) -> None:
        """Add sessions while serving."""
        if user_id is not None:
            self._stores.setdefault(user_id, Store([]))
        self._store(user_id).add(rows)

    def delete(self, ids: Iterable[int], user_id: int | None = None) -> None:
        """Delete sessions while serving."""
        self._store(user_id).delete(ids)

    def update(self, id_: int, user_id: int | None = None, **columns: Any) -> None:
        """Change a session while serving."""
        self._store(user_id).update(id_, **columns)

    def expire_sessions(self) -> None:
        """End all login sessions now."""
        self._sessions = dict.fromkeys(self._sessions, 0.0)

    @contextmanager
    def running(self, port: int = 0) -> Iterator[Sandbox]:
        """Serve on loopback from a thread until the block ends."""
        listener = socket.create_server(("127.0.0.1", port))
        # For its connections too. Else head and body of an answer wait for each other: 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v2.0"
        server = uvicorn.Server(
            uvicorn.Config(
                self.app(),
                log_level="critical",
                lifespan="off",
                access_log=False,
                date_header=self.faults.clock_behind is None,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield self
        finally:
            # It closes the listener and ends by itself, within moments that nobody waits for.
            server.force_exit = server.should_exit = True

    def _store(self, user_id: int | None) -> Store:
        return self._stores.get(user_id, self._stores[None])

    # HTTP

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(routes=[Route("/v2.0", self._serve, methods=["POST"])])

    async def _serve(self, request: Request) -> Response:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._served(request)
        finally:
            self._at_once -= 1

    async def _served(self, request: Request) -> Response:
        body = await request.body()
        faults = self.faults
        if faults.latency:
            self.injected["latency"] += 1
            await asyncio.sleep(faults.latency)
        address = request.client.host if request.client else ""
        self._within.clear()
        method, params, answer = self._answer(body, address)
        if method in faults.delays:
            self.injected["delays"] += 1
            await asyncio.sleep(faults.delays[method])
        name = self._http_fault() if method == REPORT else None
        if method == REPORT and self._customer_of(params.get("user_id")) in self.silent:
            self.calls[-1] = Call(method, params, None, 0, time.monotonic(), "silent")
            return Response(b"", 504)
        if name:
            self.injected[name] += 1
            fault = "http_error" if name == "fail_first" else name.removesuffix("_rate")
            self.calls[-1] = Call(method, params, None, 0, time.monotonic(), fault)
            return self._broken(fault, answer, request)
        self.injected += self._within
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        if faults.clock_behind is not None:
            self.injected["clock_behind"] += 1
            headers["Date"] = formatdate(time.time() - faults.clock_behind, usegmt=True)
        if faults.gzip and "gzip" in request.headers.get("accept-encoding", ""):
            self.injected["gzip"] += 1
            answer = gzip.compress(answer, 1)
            headers["Content-Encoding"] = "gzip"
        return Response(answer, headers=headers)

    def _http_fault(self) -> str | None:
        """The name of the fault, if any, that breaks an answer."""
        faults = self.faults
        if faults.fail_first > 0:
            faults.fail_first -= 1
            return "fail_first"
        return next((r for r in BREAKS if self._random.random() < getattr(faults, r)), None)

    def _broken(self, fault: str, answer: bytes, request: Request) -> Response:
        html = b"<html><body>Bad Gateway</body></html>"
        if fault == "http_error":
            return Response(html, self._random.choice([502, 503, 504]), media_type="text/html")
        if fault == "html_200":
            return Response(html, media_type="text/html")
        if fault == "truncated_json":
            return Response(answer[: len(answer) // 2])
        if fault == "bad_utf8":
            return Response(answer[:-2] + b"\xff\xfe" + answer[-2:])
        if fault == "wrong_id":
            envelope = msgspec.json.decode(answer)
            return Response(msgspec.json.encode({**envelope, "id": "another"}))
        # cut_body: the length promised, half of the body, then the connection ends.
        # reset: not even that.
        return _Broken(answer if fault == "cut_body" else b"", request)

    # JSON-RPC

    def _answer(self, body: bytes, address: str) -> tuple[str, dict[str, Any], bytes]:
        method, params, id_ = "", {}, None
        try:
            call = self._framed(body)
            id_, method, params = call["id"], call["method"], call.get("params", {})
            data, metadata = self._dispatch(method, params, address)
        except Refused as refusal:
            self._log(method, params, refusal.mnemonic, 0)
            return method, params, self._refusal(id_, refusal, address)
        self.meters.charge()
        metadata = {**self._version(), **metadata}
        if meters := self.meters.read():
            metadata["limits"] = meters
        name = "meta_data" if method == "get.account" else "metadata"
        self._log(method, params, None, metadata.pop("_rows", 0))
        result = {name: metadata, "data": msgspec.Raw(data)}
        return method, params, msgspec.json.encode({"jsonrpc": "2.0", "id": id_, "result": result})

    def _version(self) -> dict[str, Any]:
        """The member that tells of a newer version, where there is one."""
        if not self.faults.deprecated:
            return {}
        return {"api_version": {"current_version_deprecated": True, "latest_version": "v2.0"}}

    def _log(self, method: str, params: dict[str, Any], mnemonic: str | None, rows: int) -> None:
        self.calls.append(Call(method, params, mnemonic, rows, time.monotonic()))

    @staticmethod
    def _framed(body: bytes) -> dict[str, Any]:
        try:
            call = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused("parse_error") from None
        if isinstance(call, list):
            raise Refused("batch_operations_not_supported")
        if not isinstance(call, dict) or call.get("jsonrpc") != "2.0":
            raise Refused("invalid_request")
        if not isinstance(call.get("method"), str) or not isinstance(call.get("params", {}), dict):
            raise Refused("invalid_request")
        if not isinstance(call.get("id"), (int, str)):
            raise Refused("notifications_not_supported")
        return call

    def _refusal(self, id_: Any, refusal: Refused, address: str) -> bytes:
        params: dict[str, Any] = {}
        metadata: dict[str, Any] = self._version()
        if meters := self.meters.read():
            metadata["limits"] = meters
        if refusal.mnemonic == "limit_exceeded":
            params = {"limit_type": refusal.value}
        elif refusal.mnemonic == "ip_not_whitelisted":
            params = {"ip": address}
        elif refusal.mnemonic == "method_component_disabled":
            params = {"components": ", ".join(COMPONENTS) if self.components_text else COMPONENTS}
        data = {
            "mnemonic": refusal.mnemonic,
            "field": refusal.field,
            "value": refusal.value,
            "params": params,
            "extended_helper": None,
        }
        if not self.bare_errors:
            data["metadata"] = metadata
        message = refusal.mnemonic.replace("_", " ").capitalize()
        if self.echo:
            data["value"] = data["extended_helper"] = self.echo
            message = f"{message}: you sent {self.echo}"
        error = {
            "code": CODES.get(refusal.mnemonic, -32602),
            "message": message,
            "data": data,
        }
        return msgspec.json.encode({"jsonrpc": "2.0", "id": id_, "error": error})

    def _dispatch(
        self, method: str, params: dict[str, Any], address: str
    ) -> tuple[bytes, dict[str, Any]]:
        methods: dict[str, Callable[[dict[str, Any]], tuple[Any, dict[str, Any]]]] = {
            "login.user": self._login_user,
            "logout.user": self._logout_user,
            "get.account": self._account,
            "getobj.account": self._account_object,
            "get.customers": self._customers,
            "get.customer_users": self._customer_users,
            REPORT: self._report,
        }
        if method not in methods:
            raise Refused("method_not_found")
        if self.allowed_ips is not None and address not in self.allowed_ips:
            raise Refused("ip_not_whitelisted", value=address)
        if queue := self.faults.errors.get(method):
            self._within["errors"] += 1
            raise Refused(queue.pop(0))
        if method != "login.user":
            self._authorize(params)
        if kind := self.meters.exceeded():
            raise Refused("limit_exceeded", value=kind)
        if method == REPORT and self._random.random() < self.faults.internal_error_rate:
            self._within["internal_error_rate"] += 1
            raise Refused("internal_error")
        data, metadata = methods[method](params)
        return data if isinstance(data, bytes) else msgspec.json.encode(data), metadata

    # Methods

    def _authorize(self, params: dict[str, Any]) -> None:
        token = params.get("access_token")
        if token is None:
            raise Refused("required_parameter_missed", "access_token")
        if token == self.token:
            return
        if token not in self._sessions:
            raise Refused("access_token_invalid", "access_token")
        if self._sessions[token] < time.time():
            raise Refused("access_token_expired", "access_token")
        if self.session_calls is not None:
            self._calls_of[token] += 1
            if self._calls_of[token] > self.session_calls:
                raise Refused("access_token_invalid", "access_token")

    def _login_user(self, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if (params.get("login"), params.get("password")) != (self.login, self.password):
            raise Refused("auth_error")
        token, end = secrets.token_hex(16), time.time() + self.session_lifetime
        self._sessions[token] = end
        self.tokens.append(token)
        return {"access_token": token, "expire_at": int(end), "app_id": self.app_id}, {}

    def _logout_user(self, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        self._sessions.pop(params["access_token"], None)
        return {"success": True}, {}

    def _account(self, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if self.partner is not None:
            raise Refused("forbidden")
        return [
            {"app_id": self.app_id, "name": self.called or "Acme", "timezone": self.timezone}
        ], {}

    def _account_object(self, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if not self.configuration:
            raise Refused("method_component_disabled")
        user, zone, app_id = params.get("user_id"), self.timezone, self.app_id
        for customer, users in (self.partner or {}).items():
            if user in users:
                zone, app_id = self.customer_timezones.get(customer, zone), 1000 + customer
        return {"app_id": app_id, "timezone": zone, "is_agent": self.partner is not None}, {}

    def _customers(self, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return self._listing(
            [
                {
                    "id": customer,
                    "name": f"{self.called or 'Customer'} {customer}",
                    "description": None,
                    "status": self.statuses.get(customer, "active"),
                }
                for customer in self.partner or {}
                if self.statuses.get(customer) != "archived"
            ],
            params,
        )

    def _customer_users(self, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return self._listing(
            [
                {
                    "id": user,
                    "login": f"user{user}",
                    "name": f"User {user}",
                    "description": None,
                    "customer_id": customer,
                }
                for customer, users in (self.partner or {}).items()
                for user in users
            ],
            params,
        )

    def _listing(
        self, rows: list[dict[str, Any]], params: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        if self.partner is None:
            raise Refused("forbidden")
        limit, offset = _paging(params)
        if self.faults.short_pages:
            self._within["short_pages"] += limit > self.faults.short_pages < len(rows) - offset
            limit = min(limit, self.faults.short_pages)
        source = self._random if self.faults.reshuffle else random.Random(self._seed)
        source.shuffle(rows)
        fields = params.get("fields")
        if fields is not None:
            for name in fields:
                if rows and name not in rows[0]:
                    raise Refused("unexpected_parameters", "fields", name)
            rows = [{name: row[name] for name in fields} for row in rows]
        return rows[offset : offset + limit], {"total_items": len(rows)}

    def _report(self, params: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        if self.disabled_component:
            raise Refused("method_component_disabled")
        if unknown := sorted(set(params) - REPORT_PARAMS):
            raise Refused("unexpected_parameters", unknown[0], params[unknown[0]])
        faults = self.faults
        if faults.arrive:
            self._within["arrive"] += 1
            faults.arrive(self, params)
        user_id = self._user(params)
        limit, offset = _paging(params, self.most_rows)
        start, till = _span(params, self.longest_days, self.refusal_of_spans)
        if "fields" in params:
            fields = _fields(params)
            self._refuse_columns(fields, user_id)
        else:
            fields = [name for name in self.default_columns if name not in self.refused_columns]
        sort = _sort(params)
        passes = compiled(params["filter"]) if params.get("filter") is not None else None
        store = self._store(user_id)
        found = store.find(start, till, faults.till_exclusive, passes, faults.from_exclusive)
        source = self._random if faults.reshuffle else random.Random(f"{self._seed}{start}{till}")
        rows = ordered(found, sort, faults, source)
        page = rows[offset : offset + limit]
        if faults.short_pages:
            self._within["short_pages"] += len(page) > faults.short_pages
            page = page[: faults.short_pages]
        if faults.short_pages_random and page:
            least = max(len(page) // 10, 1)
            kept = self._random.randint(least, len(page))
            self._within["short_pages_random"] += kept < len(page)
            page = page[:kept]
        if len(page) > 1 and self._random.random() < faults.duplicate_rate:
            self._within["duplicate_rate"] += 1
            page = [page[1], *page[1:]]
        if len(rows) > 1:
            self._within["reshuffle"] += faults.reshuffle
            self._within["order"] += faults.order != "shuffled"
        if faults.till_exclusive:
            self._within["till_exclusive"] += len(store.find(till, till, False, passes))
        if faults.from_exclusive:
            self._within["from_exclusive"] += len(store.find(start, start, False, passes))
        self._within["deprecated"] += faults.deprecated
        if faults.reshapes:
            plain = [{name: row[name] for name in fields} for row in page]
            self._within.update(faults.reshaped(plain, set(NUMBERS)))
        data = store.encoded(page, fields, faults)
        if faults.mangle:
            mangled = faults.mangle(data)
            self._within["mangle"] += mangled != data
            data = mangled
        if not found:
            data = self.no_rows.encode()
        return data, {"total_items": max(len(found) + self.miscounts, 0), "_rows": len(page)}

    def _refuse_columns(self, fields: list[str], user: int | None) -> None:
        if self.refused_for is not None and user not in self.refused_for:
            return
        for name in fields:
            if name in self.refused_columns:
                value = name if self.names_refused else None
                raise Refused(self.refused_columns[name], "fields", value)

    def _customer_of(self, user: Any) -> int | None:
        return next((c for c, users in (self.partner or {}).items() if user in users), None)

    def _user(self, params: dict[str, Any]) -> int | None:
        user = params.get("user_id")
        if self.partner is None:
            if user is not None:
                raise Refused("unexpected_parameters", "user_id", user)
            return None
        if user is None:
            raise Refused("required_parameter_missed", "user_id")
        customer = self._customer_of(user)
        if customer is None:
            raise Refused("invalid_parameter_value", "user_id", user)
        if user in self.forbidden_users:
            raise Refused("forbidden")
        if customer in self.refusals:
            mnemonic = self.refusals[customer]
            raise Refused(mnemonic, value="day" if mnemonic == "limit_exceeded" else None)
        if self.statuses.get(customer, "active") != "active":
            raise Refused("account_inactive")
        return int(user)


class _Broken(Response):
    """An answer that breaks off: the promised length, half of it, then the end."""

    def __init__(self, body: bytes, request: Request) -> None:
        super().__init__(body)
        self._request = request

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.body:
            length = str(len(self.body)).encode()
            headers = [(b"content-length", length)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            half = self.body[: len(self.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        while transport is None and hasattr(send, "__closure__"):
            cells = [c.cell_contents for c in send.__closure__ or ()]
            owner = next((c for c in cells if callable(c)), None)
            transport = getattr(getattr(owner, "__self__", None), "transport", None)
            if owner is None:
                break
            send = owner
        if transport is not None:
            transport.abort()
        raise asyncio.CancelledError


def _paging(params: dict[str, Any], most_rows: int = 10_000) -> tuple[int, int]:
    values = []
    for name, default, least, most in (("limit", 1000, 1, most_rows), ("offset", 0, 0, 100_000)):
        value = params.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refused("data_type_error", name, value)
        if not least <= value <= most:
            raise Refused("invalid_parameter_value", name, value)
        values.append(value)
    return values[0], values[1]


def _span(
    params: dict[str, Any],
    longest_days: int | None = None,
    refusal: str = "date_interval_limit_reached",
) -> tuple[str, str]:
    moments = []
    for name in ("date_from", "date_till"):
        if name not in params:
            raise Refused("required_parameter_missed", name)
        try:
            moments.append(datetime.strptime(params[name], FORMAT))
        except (TypeError, ValueError):
            raise Refused("data_type_error", name, params[name]) from None
    start, till = moments
    if till < start:
        raise Refused("invalid_parameter_value", "date_till", params["date_till"])
    year, month = divmod(start.month + 2, 12)
    year, month = start.year + year, month + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    last = start.replace(year=year, month=month, day=day)
    if longest_days is not None:
        last = start + timedelta(days=longest_days)
    if till > last:
        raise Refused(refusal, "date_till", params["date_till"])
    return params["date_from"], params["date_till"]


def _fields(params: dict[str, Any]) -> list[str]:
    fields = params["fields"]
    if not isinstance(fields, list):
        raise Refused("data_type_error", "fields", fields)
    for name in fields:
        if name not in COLUMNS:
            raise Refused("unexpected_parameters", "fields", name)
    return fields


def _sort(params: dict[str, Any]) -> list[dict[str, Any]]:
    rules = params.get("sort", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise Refused("data_type_error", "sort", rules)
    for rule in rules:
        if rule.get("field") not in SORTABLE:
            raise Refused("sort_prohibited", "sort", rule.get("field"))
        if rule.get("order", "asc") not in ("asc", "desc"):
            raise Refused("invalid_parameter_value", "sort", rule.get("order"))
    return rules
