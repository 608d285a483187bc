"""A sandbox that behaves as an account does, by the doctor's report on it.

The report has shapes and no values: the sessions are made up, and written in those shapes, each the
same way whenever it is asked for.
"""

from __future__ import annotations

import random
import string
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from sandbox.columns import COLUMNS
from sandbox.data import CHANNELS, make_sessions
from sandbox.faults import Faults, Limits
from sandbox.server import FORMAT, Sandbox

SESSION = "(session)"
CUSTOMERS = {1: [10], 2: [20]}
"""Of a partner: customer -> its users."""
OTHERS = "éßжشह漢🚗"
"""Letters that are not ASCII."""
LISTED = {
    "channel": CHANNELS,
    "engine": ["yandex.metrika", "yandex.direct", "google.analytics", "google.adwords"],
    "visitor_device": ["desktop", "mobile", "tablet", "other"],
    "visitor_type": ["New", "Returned"],
    "communications[].communication_type": ["chat", "call", "goal", "offline_message"],
}
"""The values that the page lists, by place."""
LONGEST_TEXT = 5000


def sandbox_like(
    report: Mapping[str, Any],
    *,
    sessions: int = 1000,
    seed: int = 0,
    start: datetime = datetime(2024, 5, 1),
    end: datetime = datetime(2024, 5, 31),
    timezone: str = "Europe/Moscow",
    **more: Any,
) -> Sandbox:
    """A sandbox by a report.

    Args:
        sessions: Of the account; of a partner, of each customer.
        more: Settings of the sandbox, which go before what the report says.
    """
    options: dict[str, Any] = {
        "faults": _faults(report, Shaper(report, seed, timezone)),
        "limits": _limits(report),
        "timezone": timezone,
        "seed": seed,
        **_rules(report),
    }
    if report.get("account") == "partner":
        users = [user for users in CUSTOMERS.values() for user in users]
        options["partner"], options["sessions"] = CUSTOMERS, 0
        options["rows_by_user"] = {
            user: make_sessions(
                sessions, seed=seed + user, start=start, end=end, first_id=user * 10**8
            )
            for user in users
        }
    else:
        options["rows"] = make_sessions(sessions, seed=seed, start=start, end=end)
    return Sandbox(**{**options, **more})


def _faults(report: Mapping[str, Any], shaper: Shaper) -> Faults:
    wire, sample = report.get("wire", {}), report.get("sample", {})
    ends = report.get("behaviour", {}).get("span_ends", {})
    order = sample.get("order_by_time")
    ahead = wire.get("clock_ahead_seconds") or 0
    return Faults(
        mangle=shaper.rows,
        till_exclusive=ends.get("date_till_is_inside") is False,
        from_exclusive=ends.get("date_from_is_inside") is False,
        order=order if order in ("ascending", "descending") else "shuffled",
        short_pages=max(sample["came"], 1) if sample.get("is_short") else None,
        clock_behind=float(-ahead) if abs(ahead) > 2 else None,
        deprecated=bool(wire.get("is_deprecated")),
        gzip="gzip" in wire.get("encodings", {}),
    )


def _limits(report: Mapping[str, Any]) -> Limits:
    limits = report.get("wire", {}).get("limits", {})
    granted = {kind: limits.get(f"{kind}_limit") for kind in ("day", "minute")}
    whole = {kind: int(n) if isinstance(n, (int, float)) else None for kind, n in granted.items()}
    return Limits(day=whole["day"], minute=whole["minute"])


def _rules(report: Mapping[str, Any]) -> dict[str, Any]:
    """What passes, and what is refused."""
    behaviour, wire = report.get("behaviour", {}), report.get("wire", {})
    spans = behaviour.get("longest_span", {})
    refused = report.get("refused_columns", {})
    component = report.get("checks", {}).get("components", {}).get("error", {})
    default = report.get("default_reply", {}).get("columns", {})
    rules: dict[str, Any] = {
        "refused_columns": {name: error["mnemonic"] for name, error in refused.items()},
        "names_refused": all(error.get("names_the_column") for error in refused.values()),
        "bare_errors": set(wire.get("errors", {})) == {"without metadata"},
        "disabled_component": component.get("mnemonic") == "method_component_disabled",
        "no_rows": next(iter(wire.get("no_rows", {})), "[]"),
    }
    if default:
        rules["default_columns"] = [name for name in default if name in COLUMNS]
    if spans.get("three_months_and_a_second") is True:
        rules["longest_days"] = 3660
    elif spans.get("three_months") is not True:
        passing = [days for days in (90, 89) if spans.get(f"days_{days}") is True]
        rules["longest_days"] = max(passing, default=None) if spans else None
    if behaviour.get("large_limit", {}).get("passes") is True:
        rules["most_rows"] = 100_000
    return rules


class Shaper:
    """Writes sessions in the shapes of a report."""

    def __init__(self, report: Mapping[str, Any], seed: int, timezone: str) -> None:
        shapes = report.get("shapes", {})
        self._places: dict[str, Any] = shapes.get("places", {})
        self._undeclared: dict[str, Any] = shapes.get("undeclared", {})
        self._seed = seed
        self._zone = ZoneInfo(timezone)

    def rows(self, data: bytes) -> bytes:
        """A page's rows, as JSON."""
        rows: list[dict[str, Any]] = msgspec.json.decode(data)
        return msgspec.json.encode([self.session(row) for row in rows])

    def session(self, row: dict[str, Any]) -> dict[str, Any]:
        """A session, whichever of its columns are asked for."""
        which = row.get("id", msgspec.json.encode(row).decode())
        shaped: dict[str, Any] = {}
        for name, value in row.items():
            source = self._source(which, name)
            if name in ("id", "date_time"):
                shaped[name] = self._key(name, value)
            else:
                self._put(shaped, name, name, value, source)
        self._add(shaped, SESSION, self._source(which))
        return shaped

    def _source(self, *of: object) -> random.Random:
        return random.Random(zlib.crc32(f"{self._seed} {of}".encode()))

    def _key(self, name: str, value: Any) -> Any:
        """The id or the time: the same, as it is spelled there."""
        place = self._places.get(name, {})
        if name == "id":
            return str(value) if "text" in place.get("came", {}) else value
        if "date-time with offset" not in place.get("texts", {}):
            return value
        wall = datetime.strptime(value, FORMAT).replace(tzinfo=self._zone)
        return wall.isoformat(sep=" ")

    def _put(
        self,
        holder: dict[str, Any],
        name: str,
        path: str,
        value: Any,
        source: random.Random,
        blank: int = 0,
    ) -> None:
        came = dict(self._places.get(path, {}).get("came", {}))
        if blank and "null" in came:  # those of objects of nulls come with them
            came["null"] = max(came["null"] - blank, 0) or (len(came) == 1)
        kind = _drawn(came, source)
        if kind != "missing":
            holder[name] = self._value(path, value, kind, source)

    def _value(self, path: str, value: Any, kind: str | None, source: random.Random) -> Any:
        place = self._places.get(path)
        if place is None or kind is None:
            return value
        if kind == "boolean":
            return source.random() < 0.5
        if kind == "number":
            return _number(place, value, source)
        if kind == "text":
            return _text(path, place, value, source)
        if kind == "array":
            return self._array(path, value, source)
        if kind == "object":
            return self._object(path, value, source)
        return None

    def _array(self, path: str, value: Any, source: random.Random) -> list[Any]:
        given = value if isinstance(value, list) else []
        least, most = _ends(self._places[path], "items", (len(given), len(given)))
        wanted = min(max(len(given), least), most)
        items = [given[at % len(given)] if given else {} for at in range(wanted)]
        kinds = self._places.get(f"{path}[]", {}).get("came", {})
        return [self._value(f"{path}[]", item, _drawn(kinds, source), source) for item in items]

    def _object(self, path: str, value: Any, source: random.Random) -> dict[str, Any]:
        place = self._places[path]
        came = place["came"]["object"]
        empty, blank = place.get("empty_objects", 0), place.get("objects_of_nulls", 0)
        drawn = source.random() * came
        if drawn < empty:
            return {}
        if isinstance(value, list):  # one item as it is
            value, path = (value[0] if value else {}), f"{path}[]"
        given = value if isinstance(value, dict) else {}
        names = self._members(path) or list(given)
        if drawn < empty + blank:
            return dict.fromkeys(names)
        shaped: dict[str, Any] = {}
        for name in names:
            self._put(shaped, name, f"{path}.{name}", given.get(name), source, blank)
        self._add(shaped, path, source)
        return shaped

    def _members(self, path: str) -> list[str]:
        """Those that ever came."""
        inner = {one.removeprefix(f"{path}."): one for one in self._places if f"{path}." in one}
        plain = {name: one for name, one in inner.items() if not set(name) & {".", "["}}
        return [n for n, one in plain.items() if set(self._places[one]["came"]) != {"missing"}]

    def _add(self, holder: dict[str, Any], path: str, source: random.Random) -> None:
        """Members that no page declares."""
        met = self._places.get(path, {}).get("came", {}).get("object", 1)
        for name, types in self._undeclared.get(path, {}).items():
            kind = _drawn({**types, "missing": max(met - sum(types.values()), 0)}, source)
            plain: dict[str | None, Any] = {
                "number": source.randrange(10**6),
                "text": _made("other", 8, True, source),
                "boolean": True,
                "array": [],
                "object": {},
            }
            if kind != "missing":
                holder[name] = plain.get(kind)


def _drawn(counts: Mapping[str, int], source: random.Random) -> str | None:
    """One of some, as often as they were counted; None of none."""
    if not counts:
        return None
    return source.choices(list(counts), list(counts.values()))[0]


def _ends(place: Mapping[str, Any], name: str, default: tuple[int, int]) -> tuple[int, int]:
    ends = place.get(name)
    return (int(ends[0]), int(ends[1])) if ends else default


def _number(place: Mapping[str, Any], value: Any, source: random.Random) -> Any:
    kinds = place.get("numbers", {})
    kind = _drawn({k: n for k, n in kinds.items() if k in ("whole", "fraction")}, source)
    whole = value if isinstance(value, int) else None
    least, most = _ends(place, "digits", (1, 6))
    if whole is None or not least <= len(str(abs(whole))) <= most:
        digits = min(source.randint(least, most), 18)
        whole = source.randrange(10 ** (digits - 1), 10**digits)
    if source.random() * sum(kinds.values()) < kinds.get("negative", 0):
        whole = -abs(whole)
    return whole + 0.5 if kind == "fraction" else whole


def _text(path: str, place: Mapping[str, Any], value: Any, source: random.Random) -> str:
    listed = place.get("enumeration", {})
    if _drawn(listed, source) == "inside":
        return value if isinstance(value, str) else source.choice(LISTED[path])
    kind = _drawn(place.get("texts", {}), source) or "other"
    least, most = _ends(place, "text_lengths", (1, 20))
    if kind in ("digits", "number") and isinstance(value, (int, float)):
        return str(value)
    if kind == "other" and not listed and isinstance(value, str) and least <= len(value) <= most:
        return value
    length = min(source.randint(least, most), LONGEST_TEXT)
    foreign = place.get("texts_that_are", {}).get("not ASCII", 0)
    is_ascii = source.random() * sum(place.get("texts", {}).values()) >= foreign
    return _made(kind, length, is_ascii, source)


def _made(kind: str, length: int, is_ascii: bool, source: random.Random) -> str:
    """A text of a kind, as long as that where the kind leaves it open."""
    at = datetime(2024, 5, 1) + timedelta(seconds=source.randrange(10**6))

    def hexed(count: int) -> str:
        return "".join(source.choices("0123456789abcdef", k=count))

    def letters(count: int) -> str:
        alphabet = string.ascii_letters + OTHERS * (not is_ascii)
        return "".join(source.choices(alphabet, k=max(count, 1)))

    made = {
        "empty": "",
        "blank": " " * max(length, 1),
        "digits": "".join(source.choices("123456789", k=max(length, 1))),
        "number": f"{source.randrange(1000)}.5",
        "date": f"{at:%Y-%m-%d}",
        "date-time": f"{at:%Y-%m-%d %H:%M:%S}",
        "date-time with offset": f"{at:%Y-%m-%dT%H:%M:%S}+03:00",
        "clock": f"{at:%H:%M:%S}",
        "UUID": "-".join(hexed(count) for count in (8, 4, 4, 4, 12)),
        "hex": f"a1{hexed(max(length - 2, 6))}",
        "IP address": f"192.0.2.{source.randrange(256)}",
        "URL": f"https://shop.example/{letters(length - 21)}",
        "e-mail-like": f"{letters(length - 13)}@mail.example",
    }
    return made[kind] if kind in made else letters(length)
