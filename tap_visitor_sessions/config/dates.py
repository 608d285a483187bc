"""Dates, times and durations as a person writes them in a setting: ISO 8601, nothing looser."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import pendulum

from tap_visitor_sessions.api import ConfigError

LONGEST = timedelta(days=3660)
"""Of a look-back: ten years."""
EARLIEST = 1970
# Days are kept free at the calendar's end, for an offset and for the account's zone.
LATEST = datetime(9999, 12, 29, 23, 59, 59)
_DATE_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"([Tt ](?P<clock>\d\d:\d\d(:\d\d)?)([.,]\d{1,9})?(?P<offset>[Zz]|[+-]\d\d(:?\d\d)?)?)?",
    re.ASCII,
)
DATE_PATTERN = re.sub(r"\?P<\w+>", "", f"^{_DATE_TIME.pattern}$")
"""What a date looks like, for the JSON Schema."""
_KEY_LIKE = re.compile(r"\b(?=[A-Za-z_]*\d)(?=\d*[A-Za-z_])\w{20,}", re.ASCII)
_DURATION = re.compile(
    r"P(?=.)((?P<years>\d{1,2})Y)?((?P<months>\d{1,3})M)?"
    r"((?P<weeks>\d{1,3})W)?((?P<days>\d{1,4})D)?"
    r"(T(?=.)((?P<hours>\d{1,5})H)?((?P<minutes>\d{1,7})M)?((?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Moment:
    """A configured date and time: an instant (aware, UTC), or a wall-clock time of the account
    (naive). In whole seconds. `is_day` where a date alone was written."""

    value: datetime
    is_day: bool = False

    @classmethod
    def parse(cls, setting: str, text: str) -> Moment:
        """Read an ISO 8601 date or date-time; a date alone is its first second.

        Raises:
            ConfigError: it is none, or lies outside the years 1970 to 9999; names the setting.
        """
        found = _DATE_TIME.fullmatch(text.strip())
        if not found:
            raise ConfigError(
                setting,
                f"{shortened(text)} is no date such as 2024-01-31, "
                "nor a date and time such as 2024-01-31T08:00:00Z",
            )
        try:
            value = datetime.fromisoformat(f"{found['day']}T{found['clock'] or '00:00'}")
            value = min(value, LATEST)
            if found["offset"] and value.year >= EARLIEST:
                value = value.replace(tzinfo=_zone(found["offset"])).astimezone(timezone.utc)
            if value.year < EARLIEST:
                raise ValueError(f"the year must lie from {EARLIEST} to {LATEST.year}")
        except ValueError as problem:
            raise ConfigError(setting, f"{shortened(text)} is no date: {problem}") from None
        return cls(value, is_day=found["clock"] is None)

    def through(self) -> Moment:
        """The last second of it: of a day 23:59:59, of a second itself."""
        if not self.is_day:
            return self
        return replace(self, value=self.value.replace(hour=23, minute=59, second=59))


def parse_duration(setting: str, text: str) -> pendulum.Duration:
    """Read an ISO 8601 duration.

    Raises:
        ConfigError: it is none, or longer than ten years; names the setting.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ConfigError(
            setting, f"{shortened(text)} is not an ISO 8601 duration such as P1D, PT6H or P1M"
        )
    duration = pendulum.duration(**{k: int(v) for k, v in found.groupdict().items() if v})
    if duration.as_timedelta() > LONGEST:
        raise ConfigError(setting, f"{shortened(text)} is longer than ten years")
    return duration


def shortened(value: object) -> str:
    """A value as a short text on one line; of one that may be a key, put in the place of another
    setting, only the length."""
    text = repr(value)
    if _KEY_LIKE.search(text):
        return f"a text of {len(str(value))} characters"
    return text if len(text) <= 60 else f"{text[:50]}...{text[-1]}"


def _zone(offset: str) -> timezone:
    if offset in "Zz":
        return timezone.utc
    hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        raise ValueError("an offset lies from -14:00 to +14:00")
    ahead = timedelta(hours=hours, minutes=minutes)
    return timezone(-ahead if offset[0] == "-" else ahead)


def is_zone(name: object) -> bool:
    """Whether it is the IANA name of a zone."""
    try:
        pendulum.timezone(str(name))
    except Exception:  # zoneinfo raises several kinds for odd names
        return False
    return isinstance(name, str)
