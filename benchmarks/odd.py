"""Sessions that come otherwise than declared, for `bench shapes`: what is changed of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Row = dict[str, Any]
Change = Callable[[Row, int], None]
"""Changes a session in place; the number tells sessions apart."""


def _campaign(row: Row, **members: Any) -> None:
    row["integrated_campaign_data"] = {**row["integrated_campaign_data"], **members}


def _ext_campaign_id(row: Row, number: int) -> None:
    _campaign(row, ext_campaign_id=88_000 + number)


def _ym_client_id(row: Row, number: int) -> None:
    row["ym_client_id"] = 10**17 + number


def _duration(row: Row, number: int) -> None:
    row["duration"] = f"{number % 600}.5"


def _group_id(row: Row, number: int) -> None:
    _campaign(row, group_id=f"group-{number}")


def _undeclared(row: Row, number: int) -> None:
    row["brand_new"] = {"text": "what nobody has declared", "number": number}


def _fraction(row: Row, number: int) -> None:
    row["hits_count"] = number % 9 + 0.25


def _container(row: Row, number: int) -> None:
    row["channel"] = {"name": row["channel"], "ids": [number]}


def _hits(row: Row, number: int) -> None:
    row["hits"] = [{**hit, "hit_url": number} for hit in row["hits"]]


def _epoch(row: Row, number: int) -> None:
    calls = row["communications"]
    row["communications"] = [{**call, "communication_date_time": 1714521600000} for call in calls]


def _spelled(row: Row, number: int) -> None:
    row["hist"], row["camapign_id"] = row.pop("hits"), row.pop("campaign_id")


FIVE = (_ext_campaign_id, _ym_client_id, _duration, _group_id, _undeclared)
RARE = 1024
"""One session in so many."""


def _five(row: Row, number: int) -> None:
    for change in FIVE:
        change(row, number)


def _rare(row: Row, number: int) -> None:
    if number % RARE == 0:
        FIVE[number // RARE % len(FIVE)](row, number)


def _rare_nul(row: Row, number: int) -> None:
    if number % RARE == 0:
        row["utm_source"] = "a\x00b"


ODD: Mapping[str, Change] = {
    "ext_campaign_id a number": _ext_campaign_id,
    "ym_client_id a number": _ym_client_id,
    'duration as "12.5"': _duration,
    "group_id a text": _group_id,
    "a member that is not declared": _undeclared,
    "hits_count a fraction": _fraction,
    "channel an object": _container,
    "each hit_url a number": _hits,
    "epoch numbers for times of calls": _epoch,
    "the page's odd spellings": _spelled,
    "five columns at once": _five,
    "one session in a thousand": _rare,
    "NUL in one session in a thousand": _rare_nul,
}
"""By name, which a server takes as the last part of its URL's path, as a number."""
NAMES = list(ODD)
