"""What a user can turn: the settings, their checks, and their typed form.

Nothing else reads the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import pendulum
from singer_sdk import typing as th

from tap_visitor_sessions.api.errors import ConfigError
from tap_visitor_sessions.config.filters import filter_problems

DEFAULT_API_URL = "https://dataapi.callgear.com/v2.0"
SECRETS = ("access_token", "login", "password")
_OFFSET = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)$", re.IGNORECASE)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

PROPERTIES = th.PropertiesList(
    th.Property(
        "access_token",
        th.StringType,
        secret=True,
        title="Access token",
        description="Permanent or temporary API key from the client area. "
        "Either this, or login and password.",
    ),
    th.Property(
        "login",
        th.StringType,
        title="Login",
        description="Login of a user with the right to the API, instead of a key. The session is "
        "renewed when it ends and logged out at the end.",
    ),
    th.Property(
        "password", th.StringType, secret=True, title="Password", description="Password of `login`."
    ),
    th.Property(
        "api_url",
        th.StringType,
        default=DEFAULT_API_URL,
        title="API URL",
        description="Base URL of the account's brand: CallGear https://dataapi.callgear.com/v2.0, "
        "CoMagic https://dataapi.comagic.ru/v2.0, UIS https://dataapi.uiscom.ru/v2.0.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        required=True,
        title="Start date",
        description="First session wanted. Without an offset it is read in the account's "
        "time zone.",
    ),
    th.Property(
        "end_date",
        th.DateTimeType,
        title="End date",
        description="Last session wanted. Without an offset it is read in the account's time "
        "zone. Default: now.",
    ),
    th.Property(
        "timezone",
        th.StringType,
        title="Time zone",
        description="The account's time zone, an IANA name such as Europe/Moscow. Default: asked "
        "from the API. Required for a partner account, which the API does not tell its zone.",
    ),
    th.Property(
        "lookback_window",
        th.StringType,
        default="P1D",
        title="Look-back window",
        description="How far before the bookmark a run re-reads, as an ISO 8601 duration, since "
        "sessions go on changing after they are first seen.",
    ),
    th.Property(
        "filter",
        th.ObjectType(additional_properties=True),
        title="Filter",
        description="The API's own filter: a condition {field, operator, value} or a tree "
        "{filters: [...], condition: and|or}.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=10_000),
        default=10_000,
        title="Page size",
        description="Rows asked per request, 1 to 10000.",
    ),
    th.Property(
        "concurrency",
        th.IntegerType(minimum=1, maximum=64),
        default=4,
        title="Concurrency",
        description="Requests in flight at once, 1 to 64.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0),
        default=300,
        title="Request timeout",
        description="Seconds to wait for an answer.",
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0),
        default=8,
        title="Retries",
        description="How often one request is repeated after a passing fault, with exponential "
        "back-off and jitter.",
    ),
    th.Property(
        "on_daily_limit",
        th.StringType,
        allowed_values=["fail", "wait"],
        default="fail",
        title="On daily limit",
        description="When the day's points are used up: `fail` writes STATE and ends with an "
        "error, so that the next run goes on from there; `wait` waits for the reset.",
    ),
    th.Property(
        "account_type",
        th.StringType,
        allowed_values=["customer", "partner"],
        default="customer",
        title="Account type",
        description="`customer`, or `partner` for an agency's account.",
    ),
    th.Property(
        "user_ids",
        th.ArrayType(th.IntegerType),
        title="User ids",
        description="Partner: the users to read on behalf of. Default: one of each customer.",
    ),
    th.Property(
        "exclude_customer_ids",
        th.ArrayType(th.IntegerType),
        title="Customers left out",
        description="Partner: customers that are not read, such as those without the components "
        "that the report needs.",
    ),
    th.Property(
        "on_customer_error",
        th.StringType,
        allowed_values=["skip", "fail"],
        default="skip",
        title="On customer error",
        description="Partner: when a customer cannot be read, `skip` goes on with the others and "
        "ends with an error that names it, their state saved; `fail` ends at once.",
    ),
    th.Property(
        "customer_timezones",
        th.ObjectType(additional_properties=th.StringType),
        title="Time zones of customers",
        description="Partner: zones that differ from `timezone`, as an object customer id -> IANA "
        "name.",
    ),
    th.Property(
        "timezones",
        th.ObjectType(additional_properties=th.StringType),
        title="Time zones of users",
        description="Partner: zones that differ from `timezone` and `customer_timezones`, as an "
        "object user id -> IANA name.",
    ),
)


@dataclass(frozen=True)
class Moment:
    """A configured date and time: an instant, or a wall-clock time without an offset."""

    value: datetime

    @classmethod
    def parse(cls, setting: str, text: str) -> Moment:
        """Read an ISO 8601 date or date-time.

        Raises:
            ConfigError: it is none; names the setting.
        """
        try:
            parsed = pendulum.parse(text)
        except (ValueError, TypeError):
            parsed = None
        if not isinstance(parsed, pendulum.DateTime):
            raise ConfigError(setting, f"{text!r} is no date and time such as 2024-01-31T00:00:00Z")
        moment = datetime.fromtimestamp(parsed.timestamp(), timezone.utc).replace(microsecond=0)
        has_offset = "T" in text.upper().replace(" ", "T") and _OFFSET.search(text.strip())
        return cls(moment if has_offset else moment.replace(tzinfo=None))


@dataclass(frozen=True)
class Settings:
    """The settings, checked and typed. Build with `from_config`."""

    api_url: str
    start: Moment
    end: Moment | None
    timezone: str | None
    lookback: pendulum.Duration
    filter: Mapping[str, Any] | None
    page_size: int
    concurrency: int
    request_timeout: float
    max_retries: int
    on_daily_limit: str
    is_partner: bool
    user_ids: tuple[int, ...] | None
    timezones: Mapping[int, str]
    exclude_customer_ids: frozenset[int] = frozenset()
    customer_timezones: Mapping[int, str] = field(default_factory=dict)
    skips_customers: bool = True
    access_token: str | None = None
    login: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Settings({self.api_url!r}, start={self.start.value.isoformat()})"

    @cached_property
    def now(self) -> datetime:
        """The moment that "now" means for the whole run (aware, UTC)."""
        return datetime.now(timezone.utc).replace(microsecond=0)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Typed settings of a configuration that `problems` found nothing wrong with."""
        end = config.get("end_date")
        users = config.get("user_ids")
        return cls(
            api_url=config.get("api_url", DEFAULT_API_URL),
            start=Moment.parse("start_date", config["start_date"]),
            end=Moment.parse("end_date", end) if end else None,
            timezone=config.get("timezone") or None,
            lookback=_duration(config.get("lookback_window", "P1D")),
            filter=config.get("filter") or None,
            page_size=config.get("page_size", 10_000),
            concurrency=config.get("concurrency", 4),
            request_timeout=config.get("request_timeout", 300),
            max_retries=config.get("max_retries", 8),
            on_daily_limit=config.get("on_daily_limit", "fail"),
            is_partner=config.get("account_type") == "partner",
            user_ids=tuple(users) if users else None,
            timezones=_by_id(config.get("timezones")),
            exclude_customer_ids=frozenset(config.get("exclude_customer_ids") or ()),
            customer_timezones=_by_id(config.get("customer_timezones")),
            skips_customers=config.get("on_customer_error", "skip") == "skip",
            access_token=config.get("access_token") or None,
            login=config.get("login") or None,
            password=config.get("password") or None,
        )


def problems(config: Mapping[str, Any]) -> list[str]:
    """What cannot work in a configuration, beyond its JSON Schema: a line per problem, each
    beginning with the setting's name."""
    found = [*_credential_problems(config), *_url_problems(config), *_date_problems(config)]
    zones = {"timezone": config.get("timezone")}
    for setting, whose in (("timezones", "user"), ("customer_timezones", "customer")):
        for key, zone in (config.get(setting) or {}).items():
            zones[f"{setting}.{key}"] = zone
            if not str(key).isdigit():
                found.append(f"{setting}: {key!r} is no {whose} id")
    found += [
        f"{setting}: {name!r} is no IANA time zone such as Europe/Moscow"
        for setting, name in zones.items()
        if name and not _is_zone(name)
    ]
    if config.get("account_type") == "partner" and not config.get("timezone"):
        found.append("timezone: a partner account must set it, the API does not tell a partner")
    if config.get("account_type", "customer") == "customer":
        found += [
            f"{name}: only for account_type partner"
            for name in ("user_ids", "exclude_customer_ids", "customer_timezones", "timezones")
            if config.get(name)
        ]
    if config.get("batch_config") and (
        config.get("stream_maps") or config.get("flattening_enabled")
    ):
        # The SDK would announce the mapped schema and write the records unmapped.
        found.append("batch_config: does not go with stream_maps or flattening_enabled")
    if config.get("filter"):
        found += filter_problems(config["filter"])
    return found


def _credential_problems(config: Mapping[str, Any]) -> list[str]:
    token, login, password = (bool(config.get(name)) for name in SECRETS)
    if token and (login or password):
        return ["access_token: set either it, or login and password, not both"]
    if not token and not login and not password:
        return ["access_token: set it, or login and password"]
    if login != password:
        missing = "password" if login else "login"
        return [f"{missing}: login and password go together"]
    return []


def _url_problems(config: Mapping[str, Any]) -> list[str]:
    try:
        url = urlsplit(config.get("api_url", DEFAULT_API_URL))
        host, _ = url.hostname, url.port
    except ValueError:
        return ["api_url: not a URL"]
    if url.scheme not in {"http", "https"} or not host:
        return ["api_url: not an http(s) URL"]
    if url.username or url.password:
        return ["api_url: must not hold a user or password"]
    if url.scheme == "http" and host not in _LOOPBACK:
        return ["api_url: plain http would send the key unencrypted; use https"]
    return []


def _date_problems(config: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    moments: dict[str, datetime] = {}
    for name in ("start_date", "end_date"):
        if config.get(name):
            try:
                moments[name] = Moment.parse(name, config[name]).value
            except ConfigError as problem:
                found.append(str(problem))
    try:
        _duration(config.get("lookback_window", "P1D"))
    except ConfigError as problem:
        found.append(str(problem))
    if len(moments) == 2:
        start, end = (value.replace(tzinfo=None) for value in moments.values())
        same_kind = len({value.tzinfo for value in moments.values()}) == 1
        if same_kind and end < start:
            found.append("end_date: earlier than start_date")
    return found


def _duration(text: str) -> pendulum.Duration:
    try:
        parsed = pendulum.parse(text)
    except (ValueError, TypeError):
        parsed = None
    if not isinstance(parsed, pendulum.Duration):
        raise ConfigError("lookback_window", f"{text!r} is no ISO 8601 duration such as P1D")
    return parsed


def _by_id(zones: Mapping[str, str] | None) -> dict[int, str]:
    return {int(key): zone for key, zone in (zones or {}).items()}


def _is_zone(name: str) -> bool:
    try:
        pendulum.timezone(name)
    except Exception:  # zoneinfo raises several kinds for odd names
        return False
    return True
