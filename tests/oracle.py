"""What must come out, computed by other means than the tap's own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

FORMAT = "%Y-%m-%d %H:%M:%S"
UTC = timezone.utc
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def first_instant(wall: datetime, zone: str) -> datetime:
    """The first instant at which a clock of the zone has reached a wall-clock time: a time
    that occurs twice is its first, one that never occurs is the instant of the change."""
    tz = ZoneInfo(zone)
    naive = wall.replace(tzinfo=UTC)
    offsets = {(naive + shift).astimezone(tz).utcoffset() for shift in (-DAY, timedelta(0), DAY)}
    exact = [naive - offset for offset in offsets if offset is not None]
    exact = [u for u in exact if u.astimezone(tz).replace(tzinfo=None) == wall]
    if exact:
        return min(exact)
    low, high = int((naive - DAY).timestamp()), int((naive + DAY).timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        reached = datetime.fromtimestamp(middle, tz).replace(tzinfo=None) >= wall
        low, high = (low, middle) if reached else (middle, high)
    return datetime.fromtimestamp(high, UTC)


def utc_text(wall: str, zone: str) -> str:
    """A wall-clock time of the API as the tap must emit it."""
    instant = first_instant(datetime.strptime(wall, FORMAT), zone)
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def as_emitted(row: dict[str, Any], zone: str) -> dict[str, Any]:
    """A row of the sandbox as the tap must emit it."""
    row = dict(row)
    row["date_time"] = utc_text(row["date_time"], zone)
    row["communications"] = [
        {**item, "communication_date_time": utc_text(item["communication_date_time"], zone)}
        for item in row["communications"]
    ]
    campaign = row["integrated_campaign_data"] or {}
    if all(value is None for value in campaign.values()):
        row["integrated_campaign_data"] = {}
    else:
        row["integrated_campaign_data"] = {**campaign, "banner_id": None}
    return row
