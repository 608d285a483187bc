"""Journeys of persons to a call, chat, goal or message, whose true credits are known.

Each of `JOURNEYS` is a situation that a computation of attribution can get wrong, with its truth
stated by hand; `wanderers` are persons at random beside them, without one. Times are instants,
told in the account's wall clock as the API tells them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.data import CHANNELS, make_session

FORMAT = "%Y-%m-%d %H:%M:%S"
UTC = timezone.utc
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
DAY = timedelta(days=1)
LEAST_DAYS = 50
"""What the journeys take: the longest is of 40 days, and they end one after the other."""
NOW = timedelta(0)
FUTURE = 36_500 * DAY
"""How far off a communication is stamped whose clock went wrong."""

Row = dict[str, Any]
Credits = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Talk:
    """A communication: when, seen from the journey's end, and its number within the journey."""

    type: str = "call"
    at: timedelta = NOW
    number: int = 1


@dataclass(frozen=True)
class Visit:
    """A session of a journey.

    Attributes:
        at: When it begins, seen from the journey's end.
        visitor, person: Numbers within the journey; None: the API says none.
        channel: None: the API says none.
        talks: Its communications.
        hits: Pages seen.
        comes_late: It is in the API only after the first read.
        changes: What a later read finds instead.
        goes: A later read finds it no more.
    """

    at: timedelta
    channel: str | None = "paid"
    talks: tuple[Talk, ...] = ()
    visitor: int | None = 1
    person: int | None = 1
    hits: int = 2
    comes_late: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)
    goes: bool = False


@dataclass(frozen=True)
class Truth:
    """What a conversion is owed to, by the places of the visits in the journey.

    Attributes:
        number: The communication's, within the journey.
        touches: The visits that share the credit, in their order.
        non_direct: The last of them that is not direct, or the last where all are.
        decay: Time decay's credit of each, at a half-life of seven days.
    """

    touches: tuple[int, ...]
    non_direct: int
    decay: tuple[float, ...]
    number: int = 1
    type: str = "call"


@dataclass(frozen=True)
class Journey:
    """A situation.

    Attributes:
        truths: Of each conversion, at first.
        later: Of each conversion, once sessions have changed, come late or gone; None: the same.
        at_fold: It ends half an hour into the second of the two hours that the clocks call the
            same, which are read as the first.
    """

    name: str
    visits: tuple[Visit, ...]
    truths: tuple[Truth, ...] = ()
    later: tuple[Truth, ...] | None = None
    at_fold: bool = False


CALL = (Talk(),)
"""A call at the journey's end."""
ALONE = (Truth((0,), 0, (1.0,)),)
THIRD = (1 / 3, 2 / 3)
"""Decay of two touches, seven days apart."""
WEEK = 7 * DAY

JOURNEYS: tuple[Journey, ...] = (
    Journey("one touch", (Visit(-5 * MINUTE, talks=CALL),), ALONE),
    Journey("no conversion", (Visit(-3 * DAY), Visit(NOW, "organic"))),
    Journey(
        "two touches",
        (Visit(-WEEK), Visit(NOW, "organic", CALL)),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey(
        "four touches, the last direct",
        (
            Visit(-3 * WEEK, "social"),
            Visit(-2 * WEEK, "email"),
            Visit(-WEEK, "paid"),
            Visit(NOW, "direct", CALL),
        ),
        (Truth((0, 1, 2, 3), 2, (1 / 15, 2 / 15, 4 / 15, 8 / 15)),),
    ),
    Journey(
        "all direct",
        (Visit(-WEEK, "direct"), Visit(NOW, "direct", CALL)),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey(
        "a person with two visitors",
        (Visit(-WEEK, visitor=1), Visit(NOW, "organic", CALL, visitor=2)),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey(
        "visitors of nobody stay apart",
        (Visit(-WEEK, visitor=1, person=None), Visit(NOW, "organic", CALL, 2, None)),
        (Truth((1,), 1, (1.0,)),),
    ),
    Journey(
        "neither a person nor a visitor",
        (Visit(-WEEK, "paid", (), None, None), Visit(NOW, "organic", CALL, None, None)),
        (Truth((1,), 1, (1.0,)),),
    ),
    Journey(
        "a person learnt after the first session, and after the call",
        (
            Visit(-WEEK, visitor=1, person=None),
            Visit(NOW, "organic", CALL, visitor=2, person=None),
            Visit(HOUR, "direct", visitor=1),
            Visit(2 * HOUR, "direct", visitor=2),
        ),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey(
        "a visitor that becomes another person",
        (
            Visit(-WEEK, visitor=1, person=2),
            Visit(-HOUR, "social", visitor=2, person=2),
            Visit(NOW, "organic", CALL, visitor=1, person=1),
        ),
        (Truth((0, 2), 2, THIRD),),
    ),
    Journey(
        "no channel, and one that nobody knows",
        (Visit(-WEEK, None), Visit(NOW, "metaverse", CALL)),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey("no channel alone", (Visit(NOW, None, CALL),), ALONE),
    Journey(
        "internal is no touch",
        (Visit(-WEEK), Visit(-DAY, "internal"), Visit(NOW, "direct", CALL)),
        (Truth((0, 2), 0, THIRD),),
    ),
    Journey("internal, and the call's own session", (Visit(NOW, "internal", CALL),), ALONE),
    Journey(
        "a call before its session",
        (Visit(-WEEK), Visit(10 * MINUTE, "organic", CALL)),
        (Truth((0, 1), 1, (0.3331805, 0.6668195)),),
    ),
    Journey(
        "a session between the call and its own session",
        (Visit(5 * MINUTE, "social"), Visit(10 * MINUTE, "organic", CALL)),
        (Truth((1,), 1, (1.0,)),),
    ),
    Journey(
        "a call after a later session",
        (Visit(-WEEK, "organic", CALL), Visit(NOW, "social")),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey("a call long after its session", (Visit(-40 * DAY, talks=CALL),), ALONE),
    Journey(
        "a session after the call",
        (Visit(NOW, "organic", CALL), Visit(SECOND, "paid")),
        ALONE,
    ),
    Journey(
        "the window's edges",
        (
            Visit(-30 * DAY, "social"),
            Visit(-30 * DAY + SECOND, "email"),
            Visit(NOW, "organic", CALL),
        ),
        (Truth((1, 2), 2, (0.0487705, 0.9512295)),),
    ),
    Journey(
        "one communication in two sessions",
        (
            Visit(-WEEK, "paid", (Talk(),)),
            Visit(NOW, "direct", (Talk(),)),
        ),
        (Truth((0, 1), 0, THIRD),),
    ),
    Journey(
        "one communication twice in a session, and a chat of the same number",
        (Visit(NOW, "email", (Talk(), Talk(), Talk("chat"))),),
        (Truth((0,), 0, (1.0,)), Truth((0,), 0, (1.0,), type="chat")),
    ),
    Journey(
        "ties in one second",
        (
            Visit(-WEEK, "paid"),
            Visit(-WEEK, "social"),
            Visit(NOW, "organic", CALL),
            Visit(NOW, "direct"),
        ),
        (Truth((0, 1, 2, 3), 2, (1 / 6, 1 / 6, 1 / 3, 1 / 3)),),
    ),
    Journey(
        "two calls and a goal",
        (
            Visit(-WEEK, "paid", (Talk(at=-WEEK),)),
            Visit(NOW, "organic", (Talk(number=2), Talk("goal", number=3))),
        ),
        (
            Truth((0,), 0, (1.0,)),
            Truth((0, 1), 1, THIRD, 2),
            Truth((0, 1), 1, THIRD, 3, "goal"),
        ),
    ),
    Journey(
        "a call in the future",
        (Visit(-HOUR, "paid"), Visit(NOW, "organic", (Talk(at=FUTURE),))),
        (Truth((1,), 1, (1.0,)),),
    ),
    Journey(
        "a call in the hour that the clocks repeat",
        (Visit(-WEEK), Visit(-HOUR, "organic", CALL)),
        (Truth((0, 1), 1, (0.3342508, 0.6657492)),),
        at_fold=True,
    ),
    Journey(
        "a session that comes late",
        (Visit(-WEEK, comes_late=True), Visit(NOW, "organic", CALL)),
        (Truth((1,), 1, (1.0,)),),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey(
        "a channel that changes",
        (Visit(-WEEK, changes={"channel": "direct"}), Visit(NOW, "direct", CALL)),
        (Truth((0, 1), 0, THIRD),),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey(
        "a person told by a session that comes late",
        (
            Visit(-WEEK, visitor=1, person=1),
            Visit(NOW, "organic", CALL, visitor=2, person=None),
            Visit(HOUR, "direct", visitor=2, person=1, comes_late=True),
        ),
        (Truth((1,), 1, (1.0,)),),
        (Truth((0, 1), 1, THIRD),),
    ),
    Journey(
        "a session that goes",
        (Visit(-WEEK, goes=True), Visit(NOW, "organic", CALL)),
        (Truth((0, 1), 1, THIRD),),
        (Truth((1,), 1, (1.0,)),),
    ),
)


@dataclass(frozen=True)
class Journeys:
    """Sessions of `JOURNEYS` and of wanderers.

    Attributes:
        rows, later_rows: What the API has at first, and once sessions have changed.
        credits, later_credits: (type, id) of a conversion of `JOURNEYS` -> model -> id of a
            session -> its credit, where that is not 0.
    """

    rows: list[Row]
    later_rows: list[Row]
    credits: dict[tuple[str, int], Credits]
    later_credits: dict[tuple[str, int], Credits]


def make_journeys(
    wanderers: int = 0,
    *,
    seed: int = 0,
    start: datetime = datetime(2024, 8, 15),
    end: datetime = datetime(2024, 11, 25),
    zone: str = "Europe/Berlin",
    first_id: int = 1_000_000,
) -> Journeys:
    """All journeys within [start, end) (wall clock, LEAST_DAYS at least), and wandering persons.

    The same `first_id` gives the same ids, whatever zone and seed: two accounts whose ids meet.
    """
    made = Journeys([], [], {}, {})
    source = random.Random(seed)
    last = end.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - DAY
    fold = _fold(start, last, zone)
    for place, journey in enumerate(JOURNEYS):
        if journey.at_fold and fold is None:
            continue
        zero = fold if journey.at_fold and fold else last - place * 3 * HOUR
        _tell(journey, zero, first_id + place * 100, zone, source, made)
    base = first_id + len(JOURNEYS) * 100
    for journey in _wander(wanderers, source, end - start):
        _tell(journey, last, base, zone, source, made)
        base += 100
    return made


def _tell(
    journey: Journey, zero: datetime, base: int, zone: str, source: random.Random, made: Journeys
) -> None:
    """Add a journey to what has been made; its ids are `base` and the 99 after it."""
    for place, visit in enumerate(journey.visits):
        row = _row(visit, base + place, zero, base, zone, source)
        if not visit.comes_late:
            made.rows.append(row)
        if not visit.goes:
            made.later_rows.append({**row, **visit.changes})
    later = journey.truths if journey.later is None else journey.later
    for truths, credits in ((journey.truths, made.credits), (later, made.later_credits)):
        for truth in truths:
            credits[truth.type, base + truth.number] = _credits(truth, base)


def _row(
    visit: Visit, id_: int, zero: datetime, base: int, zone: str, source: random.Random
) -> Row:
    at = _wall(zero + visit.at, zone)
    row = make_session(id_, at, source, base + (visit.visitor or 0), visit.channel or "referral")
    hits = [
        {
            "hit_time": _text(_wall(zero + visit.at + number * MINUTE, zone)),
            "hit_duration": "00:01:00",
            "hit_url": f"https://shop.example/{source.choice(PAGES)}?ref={number}",
        }
        for number in range(visit.hits)
    ]
    return row | {
        "date_time": _text(at),
        "channel": visit.channel,
        "channel_new": visit.channel,
        "channel_code": visit.channel and visit.channel.upper(),
        "person_id": visit.person and base + visit.person,
        "visitor_id": visit.visitor and 10 * base + visit.visitor,
        "hits": hits,
        "hits_count": len(hits),
        "duration": 60 * len(hits),
        "entrance_page": hits[0]["hit_url"] if hits else None,
        "exit_page": hits[-1]["hit_url"] if hits else None,
        "communications": [
            {
                "communication_type": talk.type,
                "communication_id": base + talk.number,
                "communication_date_time": _text(_wall(zero + talk.at, zone)),
                "ext_id": None,
            }
            for talk in visit.talks
        ],
    }


PAGES = ("", "prices", "contacts", "каталог", "reviews")


def _credits(truth: Truth, base: int) -> Credits:
    """The credits that each model gives."""
    ids = [base + place for place in truth.touches]
    count = len(ids)
    between = [0.2 / (count - 2)] * (count - 2) if count > 2 else []
    ends = {1: [1.0], 2: [0.5, 0.5]}.get(count, [0.4, *between, 0.4])
    return {
        "first_touch": {ids[0]: 1.0},
        "last_touch": {ids[-1]: 1.0},
        "last_non_direct": {base + truth.non_direct: 1.0},
        "linear": dict.fromkeys(ids, 1 / count),
        "position_based": dict(zip(ids, ends, strict=True)),
        "time_decay": dict(zip(ids, truth.decay, strict=True)),
    }


def _wander(count: int, source: random.Random, span: timedelta) -> Iterator[Journey]:
    """Persons at random, what is rare drawn often; their times seen from the data's end."""
    seconds = int(span.total_seconds()) - 2 * 86_400
    channels: Sequence[str | None] = [*CHANNELS, "direct", "direct", "paid", "organic", None]
    for number in range(count):
        begun, visits = source.randrange(seconds), []
        wide = source.choice([600, 86_400, 30 * 86_400, 60 * 86_400])
        known = source.random() < 0.6
        for _ in range(min(int(source.paretovariate(1.0)), 20)):
            ago = min(max(begun + source.randrange(-wide, wide), 0), seconds)
            at = timedelta(seconds=-(ago - ago % source.choice([1, 3600])))
            visits.append(
                Visit(
                    at,
                    source.choice(channels),
                    tuple(_talks(source, at)),
                    source.choice([1, 1, 1, 2, 3]),
                    source.choice([1, 1, 1, 2, None]) if known else None,
                    source.choice([0, 1, 1, 2, 5]),
                    comes_late=source.random() < 0.05,
                    changes=source.choice(CHANGES) if source.random() < 0.1 else {},
                    goes=source.random() < 0.02,
                )
            )
        yield Journey(f"wanderer {number}", tuple(visits))


CHANGES: Sequence[Mapping[str, Any]] = (
    {"channel": "email"},
    {"channel": None},
    {"person_id": None},
    {"communications": []},
    {"duration": 3600},
)


def _talks(source: random.Random, at: timedelta) -> Iterator[Talk]:
    while source.random() < 0.25:
        delay = source.choice([0, 60, 600, -600, 86_400, 10 * 86_400])
        kind = source.choice(["call", "call", "chat", "goal", "offline_message"])
        yield Talk(kind, min(at + timedelta(seconds=delay), NOW), source.randrange(1, 9))


def _fold(start: datetime, last: datetime, zone: str) -> datetime | None:
    """Half an hour into a repeated hour of the span; None: the clocks repeat none."""
    tz, at = ZoneInfo(zone), start.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) + 10 * DAY
    at = at.replace(minute=0, second=0)
    while at < last:
        if at.astimezone(tz).fold:
            return at + 30 * MINUTE
        at += HOUR
    return None


def _wall(instant: datetime, zone: str) -> datetime:
    """The account's wall clock."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _text(wall: datetime) -> str:
    return wall.strftime(FORMAT)
