"""The doctor's report: a JSON file that says how the API of an account behaves, with shapes and no
values, so that it can be attached to an issue."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tap_visitor_sessions.api import MNEMONICS, ApiError, Arrival, Reply
from tap_visitor_sessions.config import enumerations, record_schema
from tap_visitor_sessions.doctor.checks import Check, checks
from tap_visitor_sessions.doctor.probe import Probe, order_of
from tap_visitor_sessions.doctor.sample import Looking, Sample
from tap_visitor_sessions.doctor.shapes import Seen, Shapes, counted, type_of
from tap_visitor_sessions.sessions import METHOD, Connection

FORMAT = 1
"""Of the file."""
MOST_POINTS = 12
"""Points that it costs at most, login and logout among them."""
FOR_PROBE = 5
"""Those of them that are kept for the questions on how the API behaves."""
SIZE = 1000
"""Sessions whose shapes are told."""
HEADERS = 40
"""Names of headers at most."""

_BRANDS = {"dataapi.callgear.com": "CallGear", "dataapi.comagic.ru": "CoMagic"}
_BRANDS |= {"dataapi.uiscom.ru": "UIS"}
_METERS = [f"{of}_{what}" for of in ("day", "minute") for what in ("limit", "remaining", "reset")]
_SPAN = ("date_from", "date_till")
_PARAMETERS = ("access_token", "user_id", "limit", "offset", "filter", "fields", "sort", *_SPAN)


def reported(connection: Connection, path: Path, version: str) -> Iterator[Check]:
    """The checks, and one more: whether the report is written.

    Args:
        version: The tap's.
    """
    try:
        is_there = path.exists()
        path.open("a", encoding="utf-8").close()
        if not is_there:
            path.unlink()
    except OSError as problem:
        yield Check("report", False, f"{path} cannot be written: {problem.strerror}")
        return
    report = _Report(connection, version)
    yield from report.checks()
    text = json.dumps(report.as_dict(), indent=1, ensure_ascii=True) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        yield Check("report", False, f"{path} cannot be written: {problem.strerror}")
        return
    points = connection.client.points_spent
    yield Check("report", True, f"{path}: shapes and no values; {points} points in all")


class _Report:
    def __init__(self, connection: Connection, version: str) -> None:
        self._connection, self._version = connection, version
        settings = connection.settings
        schema = record_schema(is_partner=False, has_account=False)
        about = (schema, enumerations(), settings.exclude_columns)
        self._shapes = Shapes(*about)
        self._default = Shapes(*about, self._shapes.seen)
        self._wire = _Wire(self._shapes.seen)
        self._checks: list[Check] = []
        self._looking = Looking(connection, SIZE)
        self._behaviour: dict[str, Any] = {}
        connection.client.on_reply = self._wire.note
        # The logout, which comes last, is not asked for leave.
        self._points = MOST_POINTS - bool(settings.login)

    def checks(self) -> Iterator[Check]:
        """The doctor's, and then the questions on how the API behaves."""
        client = self._connection.client
        client.allowance = self._points - FOR_PROBE
        for check in checks(self._connection, self._looking):
            self._checks.append(check)
            yield check
        client.allowance = self._points
        if (sample := self._looking.sample) is None:
            return
        probe = Probe(self._call, sample)
        for name, answer in probe.answers():
            self._behaviour[name] = answer
        self._shapes.add(sample.rows or probe.default_rows)
        self._default.add(probe.default_rows)

    def as_dict(self) -> dict[str, Any]:
        """What the file holds."""
        settings, sample = self._connection.settings, self._looking.sample
        found: dict[str, Any] = {
            "format": FORMAT,
            "tap": self._version,
            "python": platform.python_version(),
            "account": "partner" if settings.is_partner else "customer",
            "brand": _brand(settings.api_url),
            "login": "login" if settings.login else "key",
            "is_filtered": settings.filter is not None,
            "points": self._connection.client.points_spent,
            "checks": {one.name: self._check(one) for one in self._checks},
            "wire": self._wire.as_dict(),
            "behaviour": self._without_errors(self._behaviour),
        }
        if sample is not None:
            found["sample"] = _sample(sample)
            found["refused_columns"] = {
                name: self._refusal(problem, name)
                for names, problem in sample.refusals
                for name in names
            }
            found["shapes"] = self._shapes.as_dict()
            found["default_reply"] = self._default.came()
        return found

    def _call(self, params: dict[str, object]) -> tuple[memoryview, int]:
        answer = self._connection.client.call(METHOD, params)
        return answer.data, answer.total_items or 0

    def _without_errors(self, value: Any) -> Any:
        """Answers of the probe, their errors as a report shows them."""
        if isinstance(value, dict):
            return {name: self._without_errors(one) for name, one in value.items()}
        return self._refusal(value) if isinstance(value, ApiError) else value

    def _check(self, check: Check) -> dict[str, Any]:
        mark = "warn" if check.warns else {True: "ok", False: "fail", None: "not asked"}[check.ok]
        found: dict[str, Any] = {"is": mark}
        if isinstance(check.problem, ApiError):
            found["error"] = self._refusal(check.problem)
        elif check.problem is not None:
            found["failed"] = type(check.problem).__name__
        return found

    def _refusal(self, problem: ApiError, column: str | None = None) -> dict[str, Any]:
        """An error of the API: what it is, and where it says what it is about."""
        mnemonic = problem.mnemonic or ""
        field = re.split(r"\W", problem.field or "")[0]
        is_known = mnemonic in MNEMONICS or self._may_show(mnemonic)
        found: dict[str, Any] = {
            "mnemonic": mnemonic if is_known else "(not shown)",
            "code": problem.code,
            "field": field if field in _PARAMETERS else type_of(problem.field),
            "value": type_of(problem.value),
        }
        if column is not None:
            texts = f"{problem.field} {problem.value}"
            found["names_the_column"] = column in re.findall(r"\w+", texts)
        return found

    def _may_show(self, name: str) -> bool:
        return self._shapes.seen.may_show(name)


class _Wire:
    """How answers came, whatever they held."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._headers: set[str] = set()
        self._encodings: Counter[str] = Counter()
        self._methods: Counter[str] = Counter()
        self._seconds: list[float] = []
        self._offsets: list[float] = []
        self._metadata: dict[str, Counter[str]] = {}
        self._limits: dict[str, Any] = {}
        self._deprecated = False
        self._no_rows: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    def note(self, method: str, reply: Reply, arrival: Arrival | None) -> None:
        """Look at an answer."""
        self._methods[method] += 1
        metadata: Any = reply.metadata
        if reply.error is not None:
            data = reply.error.get("data")
            data = data if isinstance(data, dict) else {}
            metadata = data.get("metadata") or {}
            self._errors["with metadata" if metadata else "without metadata"] += 1
        elif method == METHOD and bytes(reply.data[:5]) in (b"[]", b"null", b"{}"):
            self._no_rows[bytes(reply.data).decode()] += 1
        if isinstance(metadata, dict):
            self._note_metadata(metadata)
        if arrival is not None:
            self._headers |= arrival.headers
            self._encodings[arrival.encoding or "none"] += 1
            self._seconds.append(arrival.seconds)
            if arrival.clock_offset is not None:
                self._offsets.append(arrival.clock_offset)

    def _note_metadata(self, metadata: dict[str, Any]) -> None:
        for name, value in metadata.items():
            self._metadata.setdefault(name, Counter())[type_of(value)] += 1
        version = metadata.get("api_version")
        if isinstance(version, dict) and version.get("current_version_deprecated"):
            self._deprecated = True
        limits = metadata.get("limits")
        if isinstance(limits, dict) and limits:
            self._limits = limits

    def as_dict(self) -> dict[str, Any]:
        headers = sorted(name for name in self._headers if self._may_show(name))[:HEADERS]
        names = {name: types for name, types in self._metadata.items() if self._may_show(name)}
        return {
            "requests": counted(self._methods),
            "headers": headers,
            "headers_not_shown": len(self._headers) - len(headers),
            "encodings": {
                name if name in ("none", "gzip") else "another": count
                for name, count in counted(self._encodings).items()
            },
            "seconds": {
                "median": round(median(self._seconds), 2) if self._seconds else None,
                "longest": round(max(self._seconds), 2) if self._seconds else None,
            },
            "clock_ahead_seconds": round(median(self._offsets)) if self._offsets else None,
            "metadata": {name: counted(types) for name, types in sorted(names.items())},
            "metadata_not_shown": len(self._metadata) - len(names),
            "limits": {
                name: _meter(self._limits[name]) for name in _METERS if name in self._limits
            },
            "is_deprecated": self._deprecated,
            "no_rows": counted(self._no_rows),
            "errors": counted(self._errors),
        }

    def _may_show(self, name: str) -> bool:
        return self._seen.may_show(name.replace("-", "_"))


def _meter(value: object) -> object:
    """A meter's number; of anything else the type."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 10**9:
        return value
    return type_of(value)


def _brand(url: str) -> str:
    return next((brand for host, brand in _BRANDS.items() if f"//{host}/" in url), "another")


def _sample(sample: Sample) -> dict[str, Any]:
    """How the sessions that were looked at came."""
    rows = sample.rows
    wanted = min(sample.query.page_size, sample.total)
    ids = [row.get("id") for row in rows if isinstance(row, dict)]
    return {
        "days": sample.back.days,
        "asked": sample.query.page_size,
        "came": len(rows),
        "is_short": len(rows) < wanted,
        "in_all": f"1e{len(str(sample.total)) - 1}" if sample.total else "none",
        "order_by_time": order_of(sample.times),
        "order_by_id": order_of([id_ for id_ in ids if isinstance(id_, int)]),
    }
