"""How far each customer has been read, by the states that Meltano has saved. Pure: no I/O.

A customer's sessions are read in pieces with a state each, so what has been read of it lies in
several states. Its *position* is all of that: the tap's own partitions, their spans joined. Each
piece begins from the whole position of its customers, so no state id is needed to find it.

State ids end in a suffix, which `visitor_sessions_plan` gives to a piece:

    customer-7, customers-7-19              what is new, of a customer or a group of them
    customer-7-2024Q1, ...-20240215-20240331, customers-1-9-20240101-20241231    a first load
    backfill-STAMP-...                      a span read again; STAMP is when it was planned
    ...-again-STAMP[-TRY]                   what somebody has cleared in Airflow
    run-DIGEST                              the positions from which a run of the DAG began
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
STREAM = "visitor_sessions"
COUNTED = re.compile(r"customers?-\d+.*")
"""Suffixes of states that say how far a customer has been read."""
STAMP = re.compile(r"(?:^backfill|-again)-(\d{8}T\d{12}Z)")
ASKED_AGAIN = 30
"""Days after which, and at most twice of which, the tap asks for a customer's zone again."""

Partition = dict[str, Any]
Span = tuple[datetime, datetime]


class StateProblem(ValueError):
    """A saved state that cannot be understood."""


def instant(text: object) -> datetime:
    """An instant as a state has it; without an offset it is in UTC."""
    try:
        at = datetime.fromisoformat(str(text).strip().replace("Z", "+00:00"))
    except ValueError:
        raise StateProblem(f"{str(text)[:40]!r} is no date and time") from None
    return at.replace(tzinfo=at.tzinfo or timezone.utc).astimezone(timezone.utc)


def formatted(at: datetime) -> str:
    """An instant as the tap spells it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def stamp(at: datetime) -> str:
    """An instant as a part of a state id."""
    return f"{at:%Y%m%dT%H%M%S%fZ}"


def joined_spans(spans: Iterable[Span]) -> list[Span]:
    """The same instants as few spans, in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif start < end:
            found.append((start, end))
    return found


def spans_of(partition: Mapping[str, Any]) -> list[Span]:
    """What a partition says has been read."""
    return [(instant(start), instant(end)) for start, end in partition.get("read") or ()]


@dataclass
class Position:
    """How far a customer has been read.

    Attributes:
        partitions: Of its users, by their ids, as the tap has written them.
        root: What the newest of its states says of the whole account.
    """

    partitions: dict[int, Partition] = field(default_factory=dict)
    root: dict[str, Any] = field(default_factory=dict)

    @property
    def turn(self) -> str:
        """When it was last read, as a text in the order of time; "": never."""
        return max((_turn(one) for one in self.partitions.values()), default="")

    @property
    def spans(self) -> list[Span]:
        """What has been read of it. A state of an old version has a bookmark alone: all before."""
        found = [span for one in self.partitions.values() for span in spans_of(one)]
        if not found:
            first = datetime.min.replace(tzinfo=timezone.utc)
            values = (one.get("replication_key_value") for one in self.partitions.values())
            found = [(first, instant(value)) for value in values if value]
        return joined_spans(found)

    def unread(self, first: date, after: date) -> timedelta:
        """How much of [first, after) has not been read, to a day: whose clock is not known."""
        start, end = (datetime.combine(day, time(), timezone.utc) for day in (first, after))
        read = [min(b, end) - max(a, start) for a, b in self.spans if a < end and b > start]
        return end - start - sum(read, timedelta(0))


def _turn(partition: Mapping[str, Any]) -> str:
    return str(partition.get("read_at") or "")


def positions(
    states: Mapping[str, Any], prefix: str, owners: Mapping[int, int]
) -> dict[int, Position]:
    """Customer id -> its position.

    Args:
        states: What `meltano state export` printed.
        prefix: What comes before a suffix in the ids, `production:TAP-to-TARGET:`.
        owners: User id -> customer id, for the partitions of old versions.

    Raises:
        StateProblem: a state cannot be understood; it names it.
    """
    found: dict[int, Position] = {}
    for state_id, parts in states.items():
        if state_id.startswith(prefix) and COUNTED.fullmatch(state_id[len(prefix) :]):
            for progress in progresses(parts):
                _add_named(found, state_id, progress, owners)
    for position in found.values():
        _drop_bare_bookmarks(position)
    return found


def progresses(parts: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What the parts of a saved state say of the stream."""
    found = []
    for part in ("completed", "partial"):
        state = ((parts or {}).get(part) or {}).get("singer_state") or {}
        progress = (state.get("bookmarks") or {}).get(STREAM)
        if progress:
            found.append(progress)
    return found


def _add_named(
    found: dict[int, Position],
    state_id: str,
    progress: Mapping[str, Any],
    owners: Mapping[int, int],
) -> None:
    try:
        _add(found, progress, owners)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise StateProblem(
            f"The state {state_id} cannot be understood ({problem}): correct it with "
            "`meltano state set`, or remove it with `meltano state clear`"
        ) from None


def _add(
    found: dict[int, Position], progress: Mapping[str, Any], owners: Mapping[int, int]
) -> None:
    root = {name: value for name, value in progress.items() if name != "partitions"}
    for partition in progress.get("partitions") or []:
        user_id = (partition.get("context") or {}).get("user_id")
        if user_id is None:
            continue
        customer_id = partition.get("customer_id") or owners.get(int(user_id))
        if customer_id is None:
            continue
        position = found.setdefault(int(customer_id), Position())
        if _turn(partition) >= position.turn or not position.root:
            position.root = position.root | root
        former = position.partitions.get(int(user_id))
        new = copy.deepcopy(dict(partition))
        position.partitions[int(user_id)] = new if former is None else joined(former, new)


def joined(one: Partition, other: Partition) -> Partition:
    """Two partitions of one user as one that says what both say.

    Spans are never joined under two zones: those of the older are left out, and read again.
    """
    older, newer = sorted((one, other), key=lambda partition: (_turn(partition), _until(partition)))
    whole = {**older, **newer}
    if told := _told([older, newer]):
        whole["told_timezone"] = told
    if loaded := [*(older.get("loaded_under") or []), *(newer.get("loaded_under") or [])]:
        whole["loaded_under"] = sorted({tuple(entry): entry for entry in loaded}.values())
    zones = {
        (partition.get("timezone"), partition.get("timezone_by"))
        for partition in (older, newer)
        if partition.get("timezone")
    }
    has_spans = [bool(partition.get("read")) for partition in (older, newer)]
    if len(zones) > 1:
        for name in ("read", "replication_key_value"):
            if name in newer:
                whole[name] = newer[name]
            else:
                whole.pop(name, None)
        return whole
    spans = joined_spans([*spans_of(older), *spans_of(newer)])
    if spans:
        whole["read"] = [[formatted(start), formatted(end)] for start, end in spans]
    # A bookmark without spans says nothing beside one with them: see Position.spans.
    values = [
        partition["replication_key_value"]
        for partition, has in zip((older, newer), has_spans, strict=True)
        if partition.get("replication_key_value") and (has or not any(has_spans))
    ]
    whole.pop("replication_key_value", None)
    if values:
        whole["replication_key_value"] = formatted(max(map(instant, values)))
    return whole


def _until(partition: Mapping[str, Any]) -> datetime:
    ends = [end for _, end in spans_of(partition)]
    return max(ends, default=datetime.min.replace(tzinfo=timezone.utc))


def _told(partitions: Iterable[Mapping[str, Any]]) -> list[str] | None:
    told = [p["told_timezone"] for p in partitions if p.get("told_timezone")]
    return max(told, key=lambda entry: (bool(entry[0]), entry[1]), default=None)


def _drop_bare_bookmarks(position: Position) -> None:
    """Where spans say what has been read, a bookmark of another user alone says nothing."""
    if any(one.get("read") for one in position.partitions.values()):
        for one in position.partitions.values():
            if not one.get("read"):
                one.pop("replication_key_value", None)


# What a piece begins from


def state_of(
    customers: Mapping[int, tuple[int, Position]], now: datetime, *, fresh: bool, asks_zone: bool
) -> dict[str, Any]:
    """A state as `meltano state import` takes it, from the whole positions of customers.

    Args:
        customers: Customer id -> the user by whom it is listed, and its position.
        fresh: Whether none of what has been read counts.
        asks_zone: Whether the tap may ask for the zones of customers that it has not asked for.
    """
    partitions, root = [], dict[str, Any]()
    for customer_id, (user_id, position) in sorted(
        customers.items(), key=lambda entry: entry[1][1].turn
    ):
        root |= position.root
        name, asked_at = _told(position.partitions.values()) or ["", ""]
        if not name and position.turn and _is_due(asked_at, position.turn, customer_id):
            asked_at = position.turn  # asked then, and not told: not every day anew
        if not asked_at and not asks_zone:
            asked_at = f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"
        its = position.partitions or {user_id: {"context": {"user_id": user_id}}}
        for place, partition in enumerate(its.values()):
            kept = copy.deepcopy(partition) | {"customer_id": customer_id}
            kept.pop("told_timezone", None)
            if fresh:
                for name in ("read", "replication_key", "replication_key_value", "loaded_under"):
                    kept.pop(name, None)
            if asked_at and place == 0:
                kept["told_timezone"] = [name, asked_at]
            partitions.append(kept)
    streams = {STREAM: {**root, "partitions": partitions}}
    return {"completed": {"singer_state": {"bookmarks": streams}}, "partial": {}}


def _is_due(asked_at: str, turn: str, customer_id: int) -> bool:
    """Whether the tap has asked for a customer's zone in its last turn."""
    if not asked_at:
        return True
    return instant(turn) - instant(asked_at) >= (ASKED_AGAIN + customer_id % ASKED_AGAIN) * DAY


# Whether a piece is done


def wall(text: str, zone: ZoneInfo, *, last: bool) -> datetime:
    """The instant of a time as START_DATE spells it; `last` of those that it can mean."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if at.tzinfo is not None:
        return at.astimezone(timezone.utc)
    both = [at.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1)]
    return max(both) if last else min(both)


def is_done(position: Position, start: str, end: str | None, planned: datetime) -> bool:
    """Whether all that a piece wants of a customer has been read; without an `end`, up to when it
    was planned or later. Whose zone is not known is not done."""
    zones = {one.get("timezone") for one in position.partitions.values() if one.get("read")}
    if len(zones) != 1 or None in zones:
        return False
    try:
        zone = ZoneInfo(str(zones.pop()))
    except (KeyError, OSError, ValueError):
        return False
    first = wall(start, zone, last=False)
    last = planned if end is None else wall(end, zone, last=True) + timedelta(seconds=1)
    return any(a <= first and b >= last for a, b in position.spans)


# States that are of no use any more


def run_suffix(dag_id: str, run_id: str) -> str:
    """Of the state that says from where a run began."""
    return "run-" + hashlib.sha256(f"{dag_id} {run_id}".encode()).hexdigest()[:24]


def run_record(customers: Mapping[int, tuple[int, Position]], planned: datetime) -> dict[str, Any]:
    """The positions from which a run begins, to be found again when it is cleared."""
    state = state_of(customers, planned, fresh=False, asks_zone=True)
    state["completed"]["singer_state"]["bookmarks"][STREAM]["planned_at"] = formatted(planned)
    return state


def positions_in(
    states: Mapping[str, Any], state_id: str, owners: Mapping[int, int]
) -> dict[int, Position] | None:
    """The positions that one state holds, by customer id; None where there is no such state.

    Raises:
        StateProblem: it cannot be understood.
    """
    found: dict[int, Position] = {}
    all_ = progresses(states.get(state_id))
    for progress in all_:
        _add_named(found, state_id, progress, owners)
    return found if all_ else None


def expired(
    states: Mapping[str, Any],
    prefix: str,
    *,
    covered: Collection[int],
    active: Collection[str],
    now: datetime,
    keep: timedelta,
) -> list[str]:
    """Ids of the states that can go, the oldest first.

    Args:
        covered: Customers whose whole position the active states hold.
        active: Suffixes of the states that the run has planned.
        keep: How long a finished piece's state stays.
    """
    found: list[tuple[datetime, str]] = []
    for state_id, parts in states.items():
        suffix = state_id[len(prefix) :]
        if not state_id.startswith(prefix) or suffix in active:
            continue
        progress = progresses(parts)
        partitions = [one for entry in progress for one in entry.get("partitions") or []]
        ages = [instant(one["read_at"]) for one in partitions if one.get("read_at")]
        if suffix.startswith("run-"):
            ages = [instant(e["planned_at"]) for e in progress if e.get("planned_at")]
        elif planned := STAMP.search(suffix):
            made = datetime.strptime(planned[1], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=timezone.utc)
            ages.append(made)
        if COUNTED.fullmatch(suffix):
            whose = {one.get("customer_id") for one in partitions}
            if not whose <= set(covered):
                continue
        elif not suffix.startswith(("run-", "backfill-")):
            continue
        newest = max(ages, default=None)
        if newest is not None and newest < now - keep:
            found.append((newest, state_id))
    return [state_id for _, state_id in sorted(found)]


def customers_with(
    rows: Sequence[Mapping[str, Any]], known: Mapping[int, Position]
) -> dict[int, tuple[int, Position]]:
    """Customer id -> the user by whom it is listed, and its position."""
    return {
        int(row["customer_id"]): (
            int(row["user_id"]),
            known.get(int(row["customer_id"])) or Position(),
        )
        for row in rows
    }
