"""What the DAGs of visitor_sessions.py are to read, as pieces. Pure: no Airflow, no I/O.

A piece is one `meltano run`: customers, a span, and a state of its own that it begins from. What
is in the state counts, not its id (see `visitor_sessions_states`): pieces may be cut otherwise at
any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypedDict

from visitor_sessions_states import (
    DAY,
    Position,
    customers_with,
    is_done,
    stamp,
    state_of,
)

DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?!\d)", re.ASCII)
WORTH_A_PIECE = timedelta(days=31)
"""Of a customer's closed quarters so much must be unread to be read apart, in pieces that can run
side by side; less is read with what is new."""


class PlanProblem(ValueError):
    """What is wanted cannot be done, and will not pass."""


class Row(TypedDict):
    """A customer to read, as `tap-visitor-sessions --customers` lists it; it has more members."""

    customer_id: int
    user_id: int


class Piece(TypedDict):
    """One run: the customers' sessions from `start` to `end`, wall clock of each one's zone, both
    included; `end` None: up to now.

    `again` is the state from which it begins anew when somebody clears its task; `planned` is
    when it was planned, in UTC.
    """

    suffix: str
    rows: list[Row]
    start: str
    end: str | None
    planned: str
    again: dict[str, Any]


class Quarter(TypedDict):
    """A quarter of a year or a part of one: `first` to before `after`."""

    name: str
    first: date
    after: date


@dataclass(frozen=True)
class Plan:
    """What a plan is made from.

    Attributes:
        rows: The customers to read.
        known: Their positions, by customer id.
        now: When it is made (aware, UTC).
        most: Pieces at most.
        again: Whether it does once more what has been done before: its states are then its own.
    """

    rows: Sequence[Row]
    known: Mapping[int, Position]
    now: datetime
    most: int
    again: bool = False

    def position(self, row: Row) -> Position:
        """That of a customer."""
        return self.known.get(row["customer_id"]) or Position()

    @property
    def closed(self) -> date:
        """The day before which all quarters are over in every zone."""
        return quarter_of(self.now.date() - 2 * DAY)

    def in_turn(self, rows: Iterable[Row]) -> list[Row]:
        """Those first that were read the longest ago, and before them those never read, by id."""
        return sorted(rows, key=lambda row: (self.position(row).turn, row["customer_id"]))


Planned = list[tuple[Piece, dict[str, Any]]]
"""Pieces, in the order in which they are to be read, and the state that each begins from."""


# Days


def quarter_of(day: date) -> date:
    """The first day of the quarter that a day lies in."""
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


def quarter_after(day: date) -> date:
    """The first day of the quarter after the one that a day lies in."""
    return quarter_of(quarter_of(day) + timedelta(days=95))


def quarters(first: date, after: date) -> list[Quarter]:
    """[first, after) cut at the quarters, without gap or overlap."""
    found = []
    while first < after:
        end = min(quarter_after(first), after)
        found.append(Quarter(name=_name(first, end), first=first, after=end))
        first = end
    return found


def _name(first: date, after: date) -> str:
    if first == quarter_of(first) and after == quarter_after(first):
        return f"{first.year}Q{(first.month + 2) // 3}"
    return f"{first:%Y%m%d}-{after - DAY:%Y%m%d}"


def day_of(text: object, name: str) -> date:
    """The day of a date or a date and time.

    Raises:
        PlanProblem: it is none; it names it.
    """
    if found := DATE.match(str(text).strip()):
        with suppress(ValueError):
            return date(*map(int, found.groups()))
    raise PlanProblem(f"{name} is {str(text)[:40]!r}, no date such as 2024-01-31")


# Customers


def readable(
    listed: Iterable[Mapping[str, Any]], chosen: Iterable[int] | None
) -> tuple[list[Row], list[str]]:
    """The customers to read, by rising id, and a line on each one that is left out.

    Args:
        listed: What `tap-visitor-sessions --customers` printed.
        chosen: Ids of customers; None: all.

    Raises:
        PlanProblem: `chosen` names one that is not listed, or none can be read.
    """
    by_id: dict[int, Mapping[str, Any]] = {}
    for entry in listed:  # of a customer's rows the one that is read
        if entry["read"] or int(entry["customer_id"]) not in by_id:
            by_id[int(entry["customer_id"])] = entry
    wanted = set(by_id if chosen is None else map(int, chosen))
    if unknown := wanted - set(by_id):
        raise PlanProblem(f"Not among your customers: {', '.join(map(str, sorted(unknown)))}")
    rows: list[Row] = []
    left_out = []
    for customer_id in sorted(wanted):
        entry = by_id[customer_id]
        if entry["read"] and entry["user_id"] is not None:
            rows.append(dict(entry))  # type: ignore[arg-type]
        else:
            left_out.append(f"Customer {customer_id} is not read: {entry['reason']}")
    if not rows:
        why = "; ".join(left_out[:10]) or "the account has none"
        raise PlanProblem(f"There is no customer to read: {why}")
    return rows, left_out


# What is new


def current(plan: Plan, *, start: str, group_size: int) -> Planned:
    """What is new, of all customers, in groups: those first that were read the longest ago.

    A customer of whom quarters are still to be read (see `first_load`) is read from the quarter
    that is open.
    """
    first = day_of(start, "start")
    whole: list[Row] = []
    opened: list[Row] = []
    for row in plan.rows:
        missing = _missing(plan, row, first)
        (opened if missing else whole).append(row)
    size = max(group_size, 1)
    while _count(whole, size) + _count(opened, size) > max(plan.most, 2):
        size += 1
    groups = [
        (rows[at : at + size], begin)
        for rows, begin in ((whole, start), (opened, f"{plan.closed}T00:00:00"))
        for at in range(0, len(rows), size)
    ]
    groups.sort(key=lambda group: min((plan.position(r).turn, r["customer_id"]) for r in group[0]))
    found: Planned = []
    for rows, begin in groups:
        state = state_of(customers_with(rows, plan.known), plan.now, fresh=False, asks_zone=True)
        found.append((_piece(plan, rows, begin, None, again=state), state))
    return found


def _count(items: Sequence[object], size: int) -> int:
    """How many groups of a size they make."""
    return -(-len(items) // size)


def _missing(plan: Plan, row: Row, start: date) -> list[Quarter]:
    """The closed quarters of which a day or more has not been read; none where that is little."""
    position = plan.position(row)
    found, total = [], timedelta(0)
    for quarter in quarters(start, plan.closed):
        unread = position.unread(quarter["first"], quarter["after"])
        if unread >= DAY:
            found.append(quarter)
            total += unread
    return found if total >= WORTH_A_PIECE else []


# Quarters


def first_load(plan: Plan, *, start: str) -> Planned:
    """The closed quarters that have not been read: of new customers, or of all where the start
    has moved to an earlier day."""
    first = day_of(start, "start")
    all_ = [(row, _missing(plan, row, first)) for row in plan.in_turn(plan.rows)]
    wanted = [(row, missing) for row, missing in all_ if missing]
    found: Planned = []
    for piece in _cut(plan, wanted, start=start):
        known = customers_with(piece["rows"], plan.known)
        state = state_of(known, plan.now, fresh=False, asks_zone=False)
        found.append((piece, state))
    return found


def backfill(plan: Plan, *, start: str, end: str) -> Planned:
    """A span once more, by customer and quarter.

    Raises:
        PlanProblem: it holds no day that has begun.
    """
    first, last = day_of(start, "start"), day_of(end, "end")
    if first > last:
        raise PlanProblem(f"start {first} lies after end {last}: there is nothing to read")
    if first > plan.now.date() + DAY:
        raise PlanProblem(f"start {first} lies in the future: there is nothing to read")
    whole = [(row, quarters(first, last + DAY)) for row in plan.in_turn(plan.rows)]
    pieces = _cut(plan, whole, start=start, before=f"backfill-{stamp(plan.now)}-")
    return [(piece, piece["again"]) for piece in pieces]


def one_day(plan: Plan, day: date, *, group_size: int) -> Planned:
    """A day once more, of all customers in groups: a run of `airflow backfill`."""
    size = max(group_size, _count(plan.rows, plan.most), 1)
    found: Planned = []
    for at in range(0, len(plan.rows), size):
        rows = list(plan.rows[at : at + size])
        before = f"backfill-{stamp(plan.now)}-"
        span = (f"{day}T00:00:00", f"{day}T23:59:59")
        piece = _piece(plan, rows, *span, before=before, name=f"{day:%Y%m%d}")
        found.append((piece, piece["again"]))
    return found


def _cut(
    plan: Plan,
    wanted: Sequence[tuple[Row, Sequence[Quarter]]],
    *,
    start: str,
    before: str = "",
) -> list[Piece]:
    """Pieces of customers and quarters, as small as `plan.most` of them allow: of several quarters
    where one each were too many, of several customers where one each were."""
    together = max(_count(wanted, plan.most), 1)
    size = 1
    while together == 1 and sum(_count(its, size) for _, its in wanted) > plan.most:
        size += 1
    found = []
    for at in range(0, len(wanted), together):
        some = wanted[at : at + together]
        rows = [row for row, _ in some]
        spans = some[0][1]
        if together > 1:
            every = [quarter for _, its in some for quarter in its]
            first, after = min(q["first"] for q in every), max(q["after"] for q in every)
            spans, size = [Quarter(name=_name(first, after), first=first, after=after)], 1
        for place in range(0, len(spans), size):
            first, after = spans[place]["first"], spans[min(place + size, len(spans)) - 1]["after"]
            begin = start if first == day_of(start, "start") else f"{first}T00:00:00"
            span = (begin, f"{after - DAY}T23:59:59")
            found.append(_piece(plan, rows, *span, before=before, name=_name(first, after)))
    return found


def _piece(
    plan: Plan,
    rows: Sequence[Row],
    start: str,
    end: str | None,
    *,
    before: str = "",
    name: str = "",
    again: dict[str, Any] | None = None,
) -> Piece:
    ids = [row["customer_id"] for row in rows]
    whose = f"customer-{ids[0]}" if len(ids) == 1 else f"customers-{min(ids)}-{max(ids)}"
    after = f"-again-{stamp(plan.now)}" if plan.again and not before else ""
    known = customers_with(rows, plan.known)
    return Piece(
        suffix=before + whose + (f"-{name}" if name else "") + after,
        rows=list(rows),
        start=start,
        end=end,
        planned=f"{plan.now.isoformat()}",
        again=again or state_of(known, plan.now, fresh=True, asks_zone=False),
    )


# A try of a piece


def suffix_of(piece: Piece, cleared: int) -> str:
    """Of the state of a piece whose task has been cleared, at a try of this number; 0: never."""
    if not cleared:
        return piece["suffix"]
    planned = datetime.fromisoformat(piece["planned"])
    return f"{piece['suffix']}-again-{stamp(planned)}-{cleared}"


def undone(piece: Piece, known: Mapping[int, Position]) -> list[Row]:
    """The customers of whom something is still to be read, by the state of a former try."""
    planned = datetime.fromisoformat(piece["planned"]).replace(microsecond=0)
    return [
        row
        for row in piece["rows"]
        if not is_done(
            known.get(row["customer_id"]) or Position(), piece["start"], piece["end"], planned
        )
    ]
