"""What the DAGs of visitor_sessions.py are to read, as pieces. Pure: no Airflow, no I/O.

A piece is one `meltano run` with a state id of its own. State ids end in:

    customer-7                a customer's new sessions, day by day
    customers-7-19            the same for a group of customers, 7 the first and 19 the last
    customer-7-2024Q1         a first load, by quarter of a year
    customer-7-20240215-20240331    the same where a quarter is not whole
    backfill-RUN-customer-7-2024Q1  a backfill; RUN is its own
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, TypedDict

DAY = timedelta(days=1)
STREAM, BOOKMARK = "visitor_sessions", "date_time"
CURRENT = re.compile(r"customer-\d+|customers-\d+-\d+")


class Customer(TypedDict):
    """A customer to read, as `tap-visitor-sessions --customers` lists it."""

    customer_id: int
    user_id: int


class Piece(TypedDict):
    """One run: the users' sessions from `start` to `end`, wall clock of each one's zone, both
    included; `end` None: up to now."""

    suffix: str
    customers: list[int]
    user_ids: list[int]
    start: str
    end: str | None


class Quarter(TypedDict):
    """A quarter of a year or a part of one: `first` to before `after`."""

    name: str
    first: date
    after: date


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
        whole = first == quarter_of(first) and end == quarter_after(first)
        name = (
            f"{first.year}Q{(first.month + 2) // 3}"
            if whole
            else f"{first:%Y%m%d}-{end - DAY:%Y%m%d}"
        )
        found.append(Quarter(name=name, first=first, after=end))
        first = end
    return found


def closed(today: date) -> date:
    """The day before which all quarters are over in every zone, seen from UTC's today."""
    return quarter_of(today - 2 * DAY)


def readable(
    listed: Iterable[Mapping[str, Any]], chosen: Iterable[int] | None
) -> tuple[list[Customer], list[str]]:
    """The customers to read, by rising id, and a line on each one that is left out.

    Args:
        listed: What `tap-visitor-sessions --customers` printed.
        chosen: Ids of customers; None: all.

    Raises:
        ValueError: `chosen` names one that is not listed.
    """
    by_id = {int(entry["customer_id"]): entry for entry in listed}
    wanted = set(by_id if chosen is None else chosen)
    if unknown := wanted - set(by_id):
        raise ValueError(f"Not among your customers: {sorted(unknown)}")
    customers, left_out = [], []
    for customer_id in sorted(wanted):
        entry = by_id[customer_id]
        if entry["read"] and entry["user_id"] is not None:
            customers.append(Customer(customer_id=customer_id, user_id=int(entry["user_id"])))
        else:
            left_out.append(f"Customer {customer_id} is not read: {entry['reason']}")
    return customers, left_out


def bookmarks(states: Mapping[str, Any], prefix: str) -> dict[int, str]:
    """Customer id -> how far its day-by-day reading has come, whichever state id holds it: so
    customers may be grouped anew at any time. It is the later of the bookmark and the end of what
    has been read: a customer without sessions has no bookmark.

    Args:
        states: What `meltano state export` printed.
        prefix: What comes before a suffix in the ids, `production:TAP-to-TARGET:`.
    """
    newest: dict[int, str] = {}
    for state_id, parts in states.items():
        if not (state_id.startswith(prefix) and CURRENT.fullmatch(state_id[len(prefix) :])):
            continue
        for part in (parts.get("completed"), parts.get("partial")):
            streams = ((part or {}).get("singer_state") or {}).get("bookmarks") or {}
            for partition in streams.get(STREAM, {}).get("partitions", []):
                customer_id = partition.get("customer_id")
                ends = [end for _, end in partition.get("read") or []]
                value = max([partition.get("replication_key_value") or "", *ends])
                if customer_id is not None and value:
                    newest[customer_id] = max(value, newest.get(customer_id, ""))
    return newest


def by_quarter(
    customers: Iterable[Customer], first: date, after: date, before: str = ""
) -> list[Piece]:
    """The sessions of [first, after), by customer and quarter; `before` begins the suffixes."""
    return [
        Piece(
            suffix=f"{before}customer-{customer['customer_id']}-{quarter['name']}",
            customers=[customer["customer_id"]],
            user_ids=[customer["user_id"]],
            start=f"{quarter['first']}T00:00:00",
            end=f"{quarter['after'] - DAY}T23:59:59",
        )
        for customer in customers
        for quarter in quarters(first, after)
    ]


def first_load(
    customers: Iterable[Customer],
    known: Mapping[int, str],
    *,
    start: date,
    today: date,
    most: int,
) -> tuple[list[Piece], list[int]]:
    """The closed quarters of the customers without a bookmark, and the customers that have to
    wait for the next run because more than `most` pieces would result. A customer is never
    halved, so `most` may be exceeded by a single one."""
    pieces: list[Piece] = []
    waiting = []
    for customer in customers:
        if customer["customer_id"] in known:
            continue
        its = by_quarter([customer], start, closed(today))
        if pieces and len(pieces) + len(its) > most:
            waiting.append(customer["customer_id"])
        else:
            pieces += its
    return pieces, waiting


def current(
    customers: Iterable[Customer],
    known: Mapping[int, str],
    *,
    planned: Iterable[Piece],
    loaded: Iterable[str],
    start: date,
    today: date,
    group_size: int,
    most: int,
) -> tuple[list[Piece], dict[str, Any]]:
    """The day-by-day pieces of the customers whose first load is done, and the states that
    these pieces start from (suffix -> a state as `meltano state import` takes it).

    Args:
        customers: All customers to read.
        known: Their bookmarks, from `bookmarks`.
        planned: The run's first loads.
        loaded: Suffixes of those that succeeded.
        start: First day wanted.
        today: Today in UTC.
        group_size: Customers a piece; more if there were more than `most` pieces otherwise.
    """
    from_day = dict(known)
    done = set(loaded)
    failed, reached = set(), dict[int, date]()
    for piece in planned:
        [customer_id] = piece["customers"]
        last = date.fromisoformat(str(piece["end"])[:10])
        reached[customer_id] = max(last, reached.get(customer_id, last))
        if piece["suffix"] not in done:
            failed.add(customer_id)
    for customer_id, last in reached.items():
        if customer_id not in failed:
            # All up to the end of `last` is read. A day less is right in every zone.
            from_day.setdefault(customer_id, f"{last}T00:00:00Z")
    nothing_before = start >= closed(today)
    ready = [c for c in customers if c["customer_id"] in from_day or nothing_before]
    ready.sort(key=lambda customer: customer["customer_id"])
    size = max(group_size, -(-len(ready) // most))
    pieces, states = [], {}
    for at in range(0, len(ready), size):
        group = ready[at : at + size]
        piece = _current_piece(group, start)
        pieces.append(piece)
        states[piece["suffix"]] = _state(group, from_day)
    return pieces, states


def _current_piece(group: Sequence[Customer], start: date) -> Piece:
    ids = [customer["customer_id"] for customer in group]
    return Piece(
        suffix=f"customer-{ids[0]}" if len(ids) == 1 else f"customers-{ids[0]}-{ids[-1]}",
        customers=ids,
        user_ids=[customer["user_id"] for customer in group],
        start=f"{start}T00:00:00",
        end=None,
    )


def _state(group: Iterable[Customer], from_day: Mapping[int, str]) -> dict[str, Any]:
    """A Singer state with a partition for each customer that has a bookmark."""
    partitions = [
        {
            "context": {"user_id": customer["user_id"]},
            "customer_id": customer["customer_id"],
            "replication_key": BOOKMARK,
            "replication_key_value": from_day[customer["customer_id"]],
        }
        for customer in group
        if customer["customer_id"] in from_day
    ]
    state = {"singer_state": {"bookmarks": {STREAM: {"partitions": partitions}}}}
    return {"completed": state, "partial": {}}
