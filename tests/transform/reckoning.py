"""The marts of transform/ computed from the API's rows, in plain Python, by the rules of
docs/transform.md: what the dbt package's tables are compared with.

A session is `(account, customer_id, id)`, a communication `(account, customer_id, type, id)`, as
they are in the marts; a person is known by what made it one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from oracle import UTC, first_instant

FORMAT = "%Y-%m-%d %H:%M:%S"
KINDS = {"call": "calls", "chat": "chats", "goal": "goals", "offline_message": "offline_messages"}
MODELS = ("first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay")
Row = dict[str, Any]
Tables = dict[str, list[Row]]


@dataclass(frozen=True)
class Account:
    """Whose rows they are, as the table tells it, and where its clock stands."""

    rows: Sequence[Row]
    zone: str
    account: str | None = None
    customer_id: int | None = None


@dataclass(frozen=True)
class Rules:
    """The package's vars."""

    window_days: float = 30
    half_life_days: float = 7
    conversion_types: tuple[str, ...] = tuple(KINDS)
    direct_channels: tuple[str, ...] = ("direct",)
    ignored_channels: tuple[str, ...] = ("internal",)
    identity: str = "person"
    bounce_max_pages: int = 1
    bounce_max_seconds: int | None = None
    values: Mapping[tuple[str | None, int | None, int], Row] = field(default_factory=dict)
    """(account, customer id, communication id) -> value, currency, qualified, spam."""
    spend: Sequence[Row] = ()
    """account, customer_id, date, campaign, spend, currency."""
    now: datetime = datetime(2026, 1, 1)


@dataclass
class Session:
    """A session as the marts have it."""

    owner: Account
    row: Row
    at: datetime
    person: tuple[Any, ...] = ()
    communications: list[Communication] = field(default_factory=list)

    @property
    def order(self) -> tuple[datetime, int]:
        return self.at, self.row["id"]

    @property
    def whose(self) -> Row:
        return {"account": self.owner.account, "customer_id": self.owner.customer_id}

    @property
    def channel(self) -> str:
        return self.row["channel"] or "(unknown)"

    @property
    def pages(self) -> int:
        counted = self.row["hits_count"]
        return len(self.row["hits"] or []) if counted is None else counted

    def day(self, instant: datetime) -> date:
        """The account's local day."""
        aware = instant.replace(tzinfo=UTC)
        return aware.astimezone(ZoneInfo(self.owner.zone)).date()

    def of_kind(self, kind: str) -> list[Communication]:
        return [item for item in self.communications if item.type == kind]


@dataclass
class Communication:
    """One, and the session to which it belongs."""

    session: Session
    type: str
    id: int | None
    at: datetime
    ext_id: str | None
    extra: Row
    touches: list[Session] = field(default_factory=list)

    @property
    def is_spam(self) -> bool:
        return bool(self.extra.get("spam"))


class Reckoning:
    """All marts of some accounts' rows."""

    def __init__(self, accounts: Iterable[Account], rules: Rules) -> None:
        self.rules = rules
        self.sessions: list[Session] = []
        self.communications: list[Communication] = []
        for owner in accounts:
            own = [Session(owner, row, _utc(row["date_time"], owner.zone)) for row in owner.rows]
            own.sort(key=lambda session: session.order)
            self._stitch(own)
            self._give_communications(own)
            self.sessions += own
        self.by_person: dict[tuple[Any, ...], list[Session]] = defaultdict(list)
        for session in self.sessions:
            self.by_person[session.person].append(session)
        self.conversions = [
            item for item in self.communications if item.type in rules.conversion_types
        ]
        for item in self.conversions:
            item.touches = self._touches(item)

    def _stitch(self, sessions: list[Session]) -> None:
        """Whose sessions they are; told at the latest session of a visitor that says it."""
        known: dict[Any, Any] = {}
        for session in sessions:
            if session.row["person_id"] is not None and session.row["visitor_id"] is not None:
                known[session.row["visitor_id"]] = session.row["person_id"]
        for session in sessions:
            visitor, person = session.row["visitor_id"], session.row["person_id"]
            whose = tuple(session.whose.values())
            by_visitor = self.rules.identity == "visitor"
            if visitor is not None and visitor in known and not by_visitor:
                session.person = (*whose, "person", known[visitor])
            elif visitor is not None:
                session.person = (*whose, "visitor", visitor)
            elif person is not None and not by_visitor:
                session.person = (*whose, "person", person)
            else:
                session.person = (*whose, "session", session.row["id"])

    def _give_communications(self, sessions: list[Session]) -> None:
        """Each to the latest session that has it, as it says there last."""
        found: dict[Any, Communication] = {}
        for session in sessions:
            for place, item in enumerate(session.row["communications"] or []):
                id_, kind = item["communication_id"], item["communication_type"]
                told, zone = item["communication_date_time"], session.owner.zone
                at = session.at if told is None else _utc(told, zone)
                key = (kind, id_) if id_ is not None else (kind, session.row["id"], place)
                extra = self.rules.values.get((*session.whose.values(), id_), {})
                found[key] = Communication(session, kind, id_, at, item["ext_id"] or None, extra)
        for one in found.values():
            one.session.communications.append(one)
            self.communications.append(one)

    def _touches(self, item: Communication) -> list[Session]:
        window = timedelta(days=self.rules.window_days)
        return [
            session
            for session in self.by_person[item.session.person]
            if session is item.session
            or (item.at - window < session.at <= item.at and not self._is_ignored(session))
        ]

    def _is_ignored(self, session: Session) -> bool:
        return session.channel in self.rules.ignored_channels

    def non_direct(self, touches: Sequence[Session]) -> Session:
        """The last touch that is not direct; all are: the last."""
        others = [one for one in touches if one.channel not in self.rules.direct_channels]
        return (others or list(touches))[-1]

    def credits(self, item: Communication) -> Iterator[tuple[str, Session, float]]:
        """What each model gives to each touch, where that is not 0."""
        touches, count = item.touches, len(item.touches)
        yield "first_touch", touches[0], 1.0
        yield "last_touch", touches[-1], 1.0
        yield "last_non_direct", self.non_direct(touches), 1.0
        half = self.rules.half_life_days * 86_400
        ages = [(touches[-1].at - one.at).total_seconds() for one in touches]
        weights = [2.0 ** (-age / half) for age in ages]
        for place, one in enumerate(touches):
            yield "linear", one, 1 / count
            at_end = place in (0, count - 1)
            rest = 0.4 if at_end else 0.2 / max(count - 2, 1)
            yield "position_based", one, 1 / count if count < 3 else rest
            if weights[place] / sum(weights) > 0:
                yield "time_decay", one, weights[place] / sum(weights)

    # The marts

    @cached_property
    def tables(self) -> Tables:
        """Each mart's rows, by its name without `visitor_sessions__`."""
        return {
            "sessions": list(map(self._session, self.sessions)),
            "persons": [self._person(own) for own in self.by_person.values()],
            "pages": [page for session in self.sessions for page in self._pages(session)],
            "conversions": list(self._conversions()),
            "attribution": list(self._attribution()),
            "attribution_daily": list(self._attribution_daily()),
            "paths": list(self._paths()),
            "path_summary": list(self._path_summary()),
            "daily_channels": list(self._daily_channels()),
            "daily_campaigns": list(self._daily_campaigns()),
            "offline_conversions_google": list(self._google()),
            "offline_conversions_yandex": list(self._yandex()),
        }

    def _session(self, session: Session) -> Row:
        row, hits = session.row, session.row["hits"] or []
        first = row["entrance_page"] or (hits[0]["hit_url"] if hits else None)
        last = row["exit_page"] or (hits[-1]["hit_url"] if hits else None)
        return {
            **session.whose,
            "session_id": row["id"],
            "person_key": session.person,
            "visitor_id": _text(row["visitor_id"]),
            "person_id": _text(row["person_id"]),
            "started_at": session.at,
            "started_on": session.day(session.at),
            "timezone": session.owner.zone,
            "duration": row["duration"],
            "pages": session.pages,
            "first_page": _page(first),
            "last_page": _page(last),
            "is_bounce": self._is_bounce(session),
            "channel": session.channel,
            "engine": row["engine"],
            "campaign_id": row["campaign_id"],
            "campaign_name": row["campaign_name"],
            "ext_campaign_id": (row["integrated_campaign_data"] or {}).get("ext_campaign_id"),
            "site_id": row["site_id"],
            "site_domain_name": row["site_domain_name"],
            "device": row["visitor_device"],
            "country": row["visitor_country"],
            "city": row["visitor_city"],
            "visitor_type": row["visitor_type"],
            "utm_source": row["utm_source"],
            "utm_medium": row["utm_medium"],
            "utm_campaign": row["utm_campaign"],
            **_counts([session]),
            **_firsts([session]),
        }

    def _is_bounce(self, session: Session) -> bool:
        longest, seconds = self.rules.bounce_max_seconds, session.row["duration"] or 0
        short = longest is None or seconds <= longest
        return session.pages <= self.rules.bounce_max_pages and short and not session.communications

    def _person(self, own: list[Session]) -> Row:
        key = own[0].person
        return {
            **own[0].whose,
            "person_key": key,
            "person_id": _text(key[-1]) if key[-2] == "person" else None,
            "visitors": len({s.row["visitor_id"] for s in own} - {None}),
            "sessions": len(own),
            "first_session_at": own[0].at,
            "last_session_at": own[-1].at,
            "first_channel": own[0].channel,
            "last_channel": own[-1].channel,
            **_counts(own),
            **_firsts(own),
        }

    def _pages(self, session: Session) -> Iterator[Row]:
        hits = session.row["hits"] or []
        for place, hit in enumerate(hits, 1):
            yield {
                **session.whose,
                "session_id": session.row["id"],
                "person_key": session.person,
                "site_id": session.row["site_id"],
                "position": place,
                "url": hit["hit_url"],
                "page": _page(hit["hit_url"]),
                "seconds": _seconds(hit["hit_duration"]),
                "is_entrance": place == 1,
                "is_exit": place == len(hits),
                "seen_on": session.day(session.at),
            }

    def _conversions(self) -> Iterator[Row]:
        for own in _grouped(self.conversions, lambda item: item.session.person).values():
            own.sort(key=lambda item: (item.at, item.type, str(item.id)))
            for number, item in enumerate(own, 1):
                first, last = item.touches[0], item.touches[-1]
                days = (item.at - first.at).total_seconds() / 86_400
                yield {
                    **self._conversion(item),
                    "session_id": item.session.row["id"],
                    "ext_id": item.ext_id,
                    "converted_on": item.session.day(item.at),
                    **_touch("first", first),
                    **_touch("last", last),
                    **_touch("last_non_direct", self.non_direct(item.touches)),
                    "own_channel": item.session.channel,
                    "touches": len(item.touches),
                    "days_until": max(days, 0.0),
                    "conversion_number": number,
                    "value": item.extra.get("value"),
                    "currency": item.extra.get("currency"),
                    "is_qualified": bool(item.extra.get("qualified")),
                    "is_spam": item.is_spam,
                }

    def _conversion(self, item: Communication) -> Row:
        return {
            **item.session.whose,
            "person_key": item.session.person,
            "communication_type": item.type,
            "communication_id": _text(item.id),
            "converted_at": item.at,
        }

    def _credited(self) -> list[Communication]:
        return [item for item in self.conversions if not item.is_spam]

    def _attribution(self) -> Iterator[Row]:
        for item in self._credited():
            places = {id(one): place for place, one in enumerate(item.touches, 1)}
            value = item.extra.get("value")
            for model, session, credit in self.credits(item):
                yield {
                    **self._conversion(item),
                    "model": model,
                    "converted_on": item.session.day(item.at),
                    "session_id": session.row["id"],
                    "touch_started_at": session.at,
                    "touch_on": session.day(session.at),
                    "position": places[id(session)],
                    "touches": len(item.touches),
                    **_of_touch(session),
                    "credit": credit,
                    "value": None if value is None else credit * value,
                    "currency": item.extra.get("currency"),
                    "is_qualified": bool(item.extra.get("qualified")),
                }

    def _attribution_daily(self) -> Iterator[Row]:
        names = ("account", "customer_id", "date_of", "date", "model", "communication_type")
        names += ("channel", "campaign_id", "campaign_name", "currency")
        lines = [
            {**row, "date_of": of, "date": row[column]}
            for row in self.tables_of_credit
            for of, column in (("conversion", "converted_on"), ("touch", "touch_on"))
        ]
        for key, rows in _grouped(lines, lambda row: tuple(map(row.get, names))).items():
            yield {
                **dict(zip(names, key, strict=True)),
                "conversions": sum(row["credit"] for row in rows),
                "qualified": sum(row["credit"] for row in rows if row["is_qualified"]),
                "value": _sum(row["value"] for row in rows),
            }

    @cached_property
    def tables_of_credit(self) -> list[Row]:
        return list(self._attribution())

    def _paths(self) -> Iterator[Row]:
        window = timedelta(days=self.rules.window_days)
        converted = set()
        for item in self._credited():
            converted.add(item.session.person)
            yield {
                **item.session.whose,
                "person_key": item.session.person,
                "communication_type": item.type,
                "is_conversion": True,
                "ended_at": item.at,
                **_path(item.touches),
            }
        for person, own in self.by_person.items():
            touches = [session for session in own if not self._is_ignored(session)]
            if person in converted or not touches:
                continue
            end = touches[-1].at
            yield {
                **touches[0].whose,
                "person_key": person,
                "communication_type": None,
                "is_conversion": False,
                "ended_at": end,
                **_path([one for one in touches if one.at > end - window]),
            }

    def _path_summary(self) -> Iterator[Row]:
        names = ("account", "customer_id", "path", "touches")
        for key, rows in _grouped(self._paths(), lambda row: tuple(map(row.get, names))).items():
            yield {
                **dict(zip(names, key, strict=True)),
                "conversions": sum(row["is_conversion"] for row in rows),
                "paths_without": sum(not row["is_conversion"] for row in rows),
                "persons": len({row["person_key"] for row in rows}),
            }

    def _daily_channels(self) -> Iterator[Row]:
        def key(session: Session) -> tuple[Any, ...]:
            return *session.whose.values(), session.day(session.at), session.channel

        for (account, customer, day, channel), own in _grouped(self.sessions, key).items():
            yield {
                "account": account,
                "customer_id": customer,
                "date": day,
                "channel": channel,
                "sessions": len(own),
                "persons": len({session.person for session in own}),
                "bounces": sum(map(self._is_bounce, own)),
                "pages": sum(session.pages for session in own),
                "seconds": _sum(session.row["duration"] for session in own),
                **_counts(own),
                "sessions_with_communication": sum(bool(one.communications) for one in own),
            }

    def _daily_campaigns(self) -> Iterator[Row]:
        def key(session: Session) -> tuple[Any, ...]:
            campaign = _text(session.row["campaign_id"]) or "(none)"
            return *session.whose.values(), session.day(session.at), campaign

        groups: dict[Any, list[Session]] = _grouped(self.sessions, key)
        spends = {
            (one["account"], one["customer_id"], one["date"], one["campaign"]): one
            for one in self.rules.spend
        }
        names = {
            (*session.whose.values(), str(session.row["campaign_id"])): session.row["campaign_name"]
            for session in sorted(self.sessions, key=lambda one: one.at)
            if session.row["campaign_name"]
        }
        for group in groups.keys() | spends.keys():
            own, spent = groups.get(group, []), spends.get(group, {})
            account, customer, day, campaign = group
            counts, spend = _counts(own), spent.get("spend")
            qualified = sum(
                bool(item.extra.get("qualified"))
                for session in own
                for item in session.communications
                if item in self.conversions and not item.is_spam
            )
            costs = {"session": len(own), "call": counts["calls"], "qualified": qualified}
            yield {
                "account": account,
                "customer_id": customer,
                "date": day,
                "campaign": campaign,
                "campaign_name": own[0].row["campaign_name"]
                if own
                else names.get((account, customer, campaign)),
                "sessions": len(own),
                **counts,
                "qualified": qualified,
                "spam_calls": sum(
                    item in self.conversions and item.is_spam and item.type == "call"
                    for session in own
                    for item in session.communications
                ),
                "spend": spend,
                "currency": spent.get("currency"),
                **{
                    f"cost_per_{what}": spend / count if spend is not None and count else None
                    for what, count in costs.items()
                },
            }

    def _google(self) -> Iterator[Row]:
        for item in self._credited():
            clicks = [one for one in item.touches if one.row["gclid"]]
            at = max([item.at, *(one.at for one in clicks[-1:])])
            if clicks and at <= self.rules.now:
                yield {
                    "Google Click ID": clicks[-1].row["gclid"],
                    "Conversion Name": item.type,
                    "Conversion Time": f"{at}+00:00",
                    "Conversion Value": item.extra.get("value"),
                    "Conversion Currency": item.extra.get("currency"),
                }

    def _yandex(self) -> Iterator[Row]:
        for item in self._credited():
            clicks = [one for one in item.touches if one.row["yclid"]]
            clients = [one for one in item.touches if one.row["ym_client_id"]]
            at = max([item.at, *(one.at for one in clicks[-1:])])
            if (clicks or clients) and at <= self.rules.now:
                yield {
                    "ClientId": clients[-1].row["ym_client_id"] if clients else None,
                    "Yclid": clicks[-1].row["yclid"] if clicks else None,
                    "Target": item.type,
                    "DateTime": int(at.replace(tzinfo=UTC).timestamp()),
                    "Price": item.extra.get("value"),
                    "Currency": item.extra.get("currency"),
                }


def _touch(which: str, session: Session) -> Row:
    return {
        f"{which}_channel": session.channel,
        f"{which}_campaign_id": session.row["campaign_id"],
        f"{which}_campaign_name": session.row["campaign_name"],
        f"{which}_touch_at": session.at,
        f"{which}_session_id": session.row["id"],
    }


def _of_touch(session: Session) -> Row:
    return {
        "channel": session.channel,
        "campaign_id": session.row["campaign_id"],
        "campaign_name": session.row["campaign_name"],
    }


def _path(touches: Sequence[Session]) -> Row:
    return {
        "touches": len(touches),
        "path": " > ".join(one.channel for one in touches),
        "first_channel": touches[0].channel,
        "last_channel": touches[-1].channel,
    }


def _counts(sessions: Iterable[Session]) -> Row:
    found = list(sessions)
    return {name: sum(len(s.of_kind(kind)) for s in found) for kind, name in KINDS.items()}


def _firsts(sessions: Sequence[Session]) -> Row:
    times = {kind: [item.at for s in sessions for item in s.of_kind(kind)] for kind in KINDS}
    return {f"first_{kind}_at": min(found, default=None) for kind, found in times.items()}


def _grouped(items: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return found


def _sum(values: Iterable[Any]) -> Any:
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def _utc(wall: str, zone: str) -> datetime:
    """UTC without an offset, as the marts have it."""
    return first_instant(datetime.strptime(wall, FORMAT), zone).replace(tzinfo=None)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _page(url: str | None) -> str | None:
    if not url:
        return None
    return url.split("?")[0].split("#")[0] or None


def _seconds(clock: str | None) -> int | None:
    if clock is None:
        return None
    hours, minutes, seconds = map(int, clock.split(":"))
    return (hours * 60 + minutes) * 60 + seconds
