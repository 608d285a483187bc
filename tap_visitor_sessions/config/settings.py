"""What a user can turn: the settings, each declared once, and their typed form.

Nothing else reads the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
import pendulum
from msgspec import Meta

from tap_visitor_sessions.api import TapError
from tap_visitor_sessions.config.customers import Listed, customers_of
from tap_visitor_sessions.config.dates import DATE_PATTERN, Moment, parse_duration, shortened
from tap_visitor_sessions.config.declaration import json_schema
from tap_visitor_sessions.config.parsing import (
    Misspelled,
    is_unset,
    kind_of,
    plain,
    spelled_out,
    wanted,
)

_SECRET = {"secret": True, "writeOnly": True}
_SENSITIVE = {"sensitive": True}
"""Holds what should not be shown, beside or among other things."""


class SettingsError(TapError):
    """Settings that cannot work; `errors` has a line for each, its setting's name first."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(f"Setting {'; '.join(errors)}")
        self.errors = errors


class Encoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the files of BATCH messages are written."""

    format: Annotated[Literal["jsonl", "parquet", "arrow"], Meta(title="Format of the files")]
    compression: (
        Annotated[Literal["gzip", "none", "snappy", "zstd"], Meta(title="Compression")] | None
    ) = None


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the files of BATCH messages are written to."""

    root: Annotated[str, Meta(min_length=1, title="URL or path of the folder")]
    prefix: Annotated[str, Meta(title="What the files' names begin with")] | None = None
    params: (
        Annotated[
            dict[str, Any],
            Meta(title="Options of the storage: keys, endpoint", extra_json_schema=_SECRET),
        ]
        | None
    ) = None


COMPRESSIONS: Mapping[str, tuple[str, ...]] = {
    "jsonl": ("gzip", "none"),
    "parquet": ("zstd", "snappy", "gzip", "none"),
    "arrow": ("none",),
}
"""What goes with each format."""


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The setting `batch_config`."""

    encoding: Encoding
    storage: Storage
    batch_size: Annotated[int, Meta(ge=1, title="Records of a file at most")] | None = None


class FakerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The setting `faker_config`."""

    seed: int | float | str | bool | None = None
    locale: str | list[str] | None = None


def _members(struct: type[msgspec.Struct], **more: Any) -> dict[str, Any]:
    schema = json_schema(struct)
    kept = {name: schema[name] for name in ("properties", "required") if schema[name]}
    return {**kept, "additionalProperties": False, **more}


class Settings(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The settings, checked and typed. Build with `from_config`."""

    access_token: (
        Annotated[
            str,
            Meta(
                examples=["0a1b2c3d4e5f"],
                title="Access token",
                description="Permanent or temporary API key from the client area. "
                "Either this, or login and password.",
                extra_json_schema=_SECRET,
            ),
        ]
        | None
    ) = None
    login: (
        Annotated[
            str,
            Meta(
                examples=["reports@example.com"],
                title="Login",
                description="Login of a user with access to the API, instead of a key. The "
                "session is renewed when it expires and logged out at the end.",
                extra_json_schema=_SENSITIVE,
            ),
        ]
        | None
    ) = None
    password: (
        Annotated[
            str,
            Meta(
                examples=["correct horse"],
                title="Password",
                description="Password of `login`.",
                extra_json_schema=_SECRET,
            ),
        ]
        | None
    ) = None
    api_url: Annotated[
        str,
        Meta(
            examples=["https://dataapi.comagic.ru/v2.0"],
            title="API URL",
            description="Base URL of the account's brand: CallGear "
            "https://dataapi.callgear.com/v2.0, CoMagic https://dataapi.comagic.ru/v2.0, "
            "UIS https://dataapi.uiscom.ru/v2.0.",
        ),
    ] = "https://dataapi.callgear.com/v2.0"
    start_date: Annotated[
        str,
        Meta(
            examples=["2024-01-31", "2024-01-31T08:00:00", "2024-01-31T08:00:00+03:00"],
            title="Start date",
            description="First session wanted: a date such as 2024-01-31, or a date and time "
            "such as 2024-01-31T08:00:00. Without an offset (Z, +03:00) it is read in the "
            "account's time zone.",
            extra_json_schema={"pattern": DATE_PATTERN},
        ),
    ]
    end_date: (
        Annotated[
            str,
            Meta(
                examples=["2024-05-31", "2024-05-31T20:00:00Z"],
                title="End date",
                description="Last session wanted, spelled like `start_date`. A date alone is the "
                "whole of that day. Default: now.",
                extra_json_schema={"pattern": DATE_PATTERN},
            ),
        ]
        | None
    ) = None
    timezone: (
        Annotated[
            str,
            Meta(
                examples=["Europe/Moscow"],
                title="Time zone",
                description="The account's time zone, an IANA name such as Europe/Moscow. "
                "Default: the API is asked; for a partner it is asked about each customer, whose "
                "account needs the component `Data API for configuration` for that.",
            ),
        ]
        | None
    ) = None
    lookback_window: Annotated[
        str,
        Meta(
            examples=["P3D", "PT6H"],
            title="Look-back window",
            description="How far back each run reads again, counted from the end of what has been "
            "read (spans without sessions included), because sessions keep changing after they are "
            "first seen. An ISO 8601 duration of at most ten years.",
        ),
    ] = "P1D"
    recheck_window: (
        Annotated[
            str,
            Meta(
                examples=["P90D"],
                title="Recheck window",
                description="How far back a run, after it has read what is new, asks how many "
                "sessions the API has of each past day, as an ISO 8601 duration; days that differ "
                "from what was read are read again. Default: none are asked for.",
            ),
        ]
        | None
    ) = None
    recheck_depth: Annotated[
        Literal["count", "ids"],
        Meta(
            title="Recheck depth",
            description="What `recheck_window` compares: `count`, at one point a quarter where "
            "nothing differs; or `ids`, at a point for each page, which notices too "
            "what leaves the number as it was: sessions deleted here and added there, moved to "
            "another day or replaced.",
        ),
    ] = "count"
    filter: (
        Annotated[
            dict[str, Any],
            Meta(
                examples=[{"field": "site_id", "operator": "in", "value": [101, 102]}],
                title="Filter",
                description="The API's own filter: a condition {field, operator, value} or a "
                "tree {filters: [...], condition: and|or}.",
            ),
        ]
        | None
    ) = None
    page_size: Annotated[
        int,
        Meta(ge=1, le=10_000, title="Page size", description="Rows asked per request, 1 to 10000."),
    ] = 10_000
    concurrency: Annotated[
        int,
        Meta(ge=1, le=64, title="Concurrency", description="Requests in flight at once, 1 to 64."),
    ] = 4
    request_timeout: Annotated[
        float,
        Meta(
            gt=0, le=86_400, title="Request timeout", description="Seconds to wait for an answer."
        ),
    ] = 300
    max_retries: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            title="Retries",
            description="How often one request is repeated after a passing fault, with "
            "exponential back-off and jitter.",
        ),
    ] = 8
    on_daily_limit: Annotated[
        Literal["fail", "wait"],
        Meta(
            title="On daily limit",
            description="When the day's points are used up: `fail` writes STATE and ends with an "
            "error, so that the next run goes on from there; `wait` waits for the reset.",
        ),
    ] = "fail"
    account: (
        Annotated[
            str,
            Meta(
                examples=["north"],
                max_length=255,
                title="Account",
                description="Your own name for the account. Adds a column `account` to every "
                "record and to the key, so that several accounts can share a table.",
            ),
        ]
        | None
    ) = None
    account_type: Annotated[
        Literal["customer", "partner"],
        Meta(title="Account type", description="`customer`, or `partner` for an agency's account."),
    ] = "customer"
    user_ids: (
        Annotated[
            tuple[int, ...],
            Meta(
                title="User ids",
                description="Partner: the users to read on behalf of. Default: one of each "
                "customer.",
            ),
        ]
        | None
    ) = None
    exclude_customer_ids: Annotated[
        frozenset[int],
        Meta(
            title="Customers left out",
            description="Partner: customers that are not read, such as those without the "
            "components that the report needs.",
        ),
    ] = frozenset()
    customers_file: (
        Annotated[
            str,
            Meta(
                examples=["customers.json"],
                title="File of customers",
                description="Partner: path of what `--customers` has printed, or of a part of it: "
                "the customers and users are those, and the API is not asked for them.",
            ),
        ]
        | None
    ) = None
    on_customer_error: Annotated[
        Literal["skip", "fail"],
        Meta(
            title="On customer error",
            description="Partner: when a customer cannot be read, `skip` goes on with the others "
            "and ends with an error that names it, their state saved; `fail` ends at once.",
        ),
    ] = "skip"
    customer_timezones: Annotated[
        dict[int, str],
        Meta(
            examples=[{"7": "Asia/Omsk"}],
            title="Time zones of customers",
            description="Partner: zones that differ from `timezone`, as an object customer id -> "
            "IANA name.",
        ),
    ] = {}
    timezones: Annotated[
        dict[int, str],
        Meta(
            examples=[{"11": "Asia/Omsk"}],
            title="Time zones of users",
            description="Partner: zones that differ from `timezone` and `customer_timezones`, as "
            "an object user id -> IANA name.",
        ),
    ] = {}
    emit_activate_version_messages: Annotated[
        bool,
        Meta(
            title="ACTIVATE_VERSION messages",
            description="In a FULL_TABLE sync, write ACTIVATE_VERSION after a complete read, so "
            "that the loader drops rows of earlier reads.",
        ),
    ] = False
    stream_maps: (
        Annotated[
            dict[str, Any],
            Meta(
                examples=[
                    {"visitor_sessions": {"visitor_ip_address": None, "city": "visitor_city"}}
                ],
                title="Stream maps",
                description="The SDK's [stream maps]"
                "(https://sdk.meltano.com/en/latest/stream_maps.html): columns hashed, removed, "
                "computed or renamed, records filtered.",
            ),
        ]
        | None
    ) = None
    stream_map_config: (
        Annotated[
            dict[str, Any],
            Meta(
                examples=[{"salt": "of my own"}],
                title="Values for stream maps",
                description="Values that expressions of `stream_maps` find in `config`.",
                extra_json_schema=_SENSITIVE,
            ),
        ]
        | None
    ) = None
    faker_config: (
        Annotated[
            dict[str, Any],
            Meta(
                examples=[{"seed": 1, "locale": "en_US"}],
                title="Faker",
                description="`seed` and `locale` of the [Faker]"
                "(https://faker.readthedocs.io/en/master/) that expressions of `stream_maps` find "
                "as `fake`. Needs the extra `tap-visitor-sessions[faker]`.",
                extra_json_schema=_members(FakerConfig),
            ),
        ]
        | None
    ) = None
    flattening_enabled: Annotated[
        bool, Meta(title="Flattening", description="Turn members of objects into columns.")
    ] = False
    flattening_max_depth: (
        Annotated[
            int, Meta(ge=0, le=100, title="Flattening: depth", description="Levels to flatten.")
        ]
        | None
    ) = None
    flattening_max_key_length: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=10_000,
                title="Flattening: longest name",
                description="Longest name of a flattened column.",
            ),
        ]
        | None
    ) = None
    flattening_separator: (
        Annotated[
            str,
            Meta(
                examples=["."],
                title="Flattening: separator",
                description="Separator between the parts of a flattened column's name.",
            ),
        ]
        | None
    ) = None
    array_schema: Annotated[
        Literal["json", "typed"],
        Meta(
            title="Arrays in SCHEMA",
            description="How SCHEMA announces arrays: `json`, their `items` one step down, so that "
            "target-postgres and target-snowflake make JSON columns of them; `typed`, `items` "
            "beside their type, for loaders that read the members: Avro, ClickHouse, Parquet, "
            "BigQuery.",
        ),
    ] = "json"
    exclude_columns: Annotated[
        tuple[str, ...],
        Meta(
            examples=[["visitor_ip_address", "hits.hit_url"]],
            title="Columns left out",
            description="Columns, and members such as `hits.hit_url`, that are never written to "
            "any message, whatever is selected. Columns are not requested from the API either.",
        ),
    ] = ()
    hash_columns: Annotated[
        tuple[str, ...],
        Meta(
            examples=[["visitor_ip_address", "hits.hit_url"]],
            title="Columns hashed",
            description="Columns, and members such as `hits.hit_url`, whose values are replaced by "
            "their hash (HMAC-SHA-256, as hex) before they leave the process.",
        ),
    ] = ()
    hash_key: (
        Annotated[
            str,
            Meta(
                examples=["of 32 random bytes, as hex"],
                title="Key of the hashes",
                description="Secret key of the hashes, required with `hash_columns`. A different "
                "key produces different hashes. At least 16 characters: `openssl rand -hex 32` "
                "makes one.",
                extra_json_schema=_SECRET,
            ),
        ]
        | None
    ) = None
    batch_config: (
        Annotated[
            dict[str, Any],
            Meta(
                examples=[
                    {
                        "encoding": {"format": "jsonl"},
                        "storage": {"root": "output"},
                        "batch_size": 5,
                    }
                ],
                title="BATCH files",
                description="Write files for BATCH messages: `encoding` (`format` jsonl, "
                "`compression` gzip or none; or parquet, zstd, snappy, gzip or none; or arrow, "
                "none), `storage` (`root`, `prefix`, `params`), `batch_size`. A root of s3://, "
                "gs:// or abfs:// needs the extra `tap-visitor-sessions[s3]`, `[gcs]` or "
                "`[azure]`, parquet and arrow `[parquet]`.",
                extra_json_schema=_members(Batch, **_SENSITIVE),
            ),
        ]
        | None
    ) = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Settings({self.api_url!r}, start={self.start_date!r})"

    @cached_property
    def start(self) -> Moment:
        """`start_date`."""
        return Moment.parse("start_date", self.start_date)

    @cached_property
    def end(self) -> Moment | None:
        """The last second wanted; None stands for now, as for all that lies in the future."""
        if self.end_date is None:
            return None
        end = Moment.parse("end_date", self.end_date).through()
        # No zone is more than a day ahead. To read a future would cost a request a quarter.
        ahead = end.value.replace(tzinfo=end.value.tzinfo or timezone.utc) - self.now
        return None if ahead > timedelta(days=1) else end

    @cached_property
    def lookback(self) -> pendulum.Duration:
        """`lookback_window`."""
        return parse_duration("lookback_window", self.lookback_window)

    @cached_property
    def recheck(self) -> pendulum.Duration | None:
        """`recheck_window`."""
        if self.recheck_window is None:
            return None
        return parse_duration("recheck_window", self.recheck_window)

    @cached_property
    def listed(self) -> list[Listed] | None:
        """What `customers_file` holds; None where it is not set."""
        return None if self.customers_file is None else customers_of(self.customers_file)

    @property
    def is_partner(self) -> bool:
        """Whether it is an agency's account."""
        return self.account_type == "partner"

    @property
    def skips_customers(self) -> bool:
        """Whether a run goes on without a customer that cannot be read."""
        return self.on_customer_error == "skip"

    @cached_property
    def now(self) -> datetime:
        """The moment that "now" means for the whole run (aware, UTC)."""
        return datetime.now(timezone.utc).replace(microsecond=0)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Typed settings of a configuration, however it is spelled.

        Raises:
            SettingsError: a value is not what is declared, or a required one is missing.
        """
        clean, found = normalized(config)
        if found:
            raise SettingsError(found)
        return msgspec.convert(clean, cls, str_keys=True)


SCHEMA: dict[str, Any] = json_schema(Settings)
"""The settings as a JSON Schema."""
PROPERTIES: Mapping[str, dict[str, Any]] = SCHEMA["properties"]
SENSITIVE = frozenset(
    name for name, schema in PROPERTIES.items() if schema.get("secret") or schema.get("sensitive")
)
"""Settings whose values are never shown."""
SECRETS = frozenset(name for name, schema in PROPERTIES.items() if schema.get("secret"))
"""Settings whose values are shown in no text, not where they stand in that of another either."""
SINGERS = frozenset(
    {
        "customers_file",
        "emit_activate_version_messages",
        "stream_maps",
        "stream_map_config",
        "faker_config",
        "flattening_enabled",
        "flattening_max_depth",
        "flattening_max_key_length",
        "flattening_separator",
        "array_schema",
        "batch_config",
    }
)
"""Settings of the Singer host alone."""
GUARDS = ("exclude_columns", "hash_columns", "hash_key", "stream_maps")
"""Settings that keep values from leaving: misspelt, all would go out in clear."""
_TYPES = {field.name: field.type for field in msgspec.structs.fields(Settings)}


def normalized(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The same configuration as values of JSON that fit their declaration, without what is not
    set; and a line for each value that cannot be read so (it is left out) or is missing.

    Unknown settings stay as they are.
    """
    clean: dict[str, Any] = {}
    found: list[str] = []
    for name, value in config.items():
        schema = PROPERTIES.get(name)
        if _has_half({name: value}):
            found.append(f"{name}: holds half of a character (a surrogate): write it anew")
        elif schema is None:
            clean[name] = plain(value)
        elif not is_unset(value):
            try:
                clean[name] = _fitting(name, value, schema)
            except Misspelled as problem:
                shown = "" if name in SENSITIVE or kind_of(schema) == "object" else shortened(value)
                found.append(f"{name}: {problem}{shown and f', not {shown}'}")
    named = {line.split(":")[0] for line in found}
    found += [
        f"{name}: is required, and not set"
        for name in SCHEMA["required"]
        if name not in clean and name not in named
    ]
    return clean, found


def unknown(names: Iterable[str]) -> list[str]:
    """A line for each name that is no setting's, with the nearest that is."""
    found = []
    for name in names:
        if name not in PROPERTIES:
            close = get_close_matches(name.lower().replace("-", "_"), PROPERTIES, n=1)
            found.append(
                f"{' '.join(name.split())}: unknown"
                + (f": did you mean {close[0]}?" if close else "")
            )
    return found


def misspelt_guards(config: Mapping[str, Any]) -> list[str]:
    """Those of the lines of `unknown` that must have meant one of `GUARDS`."""
    given = [name for name, value in config.items() if not is_unset(value)]
    return [line for line in unknown(given) if line.endswith(tuple(f" {one}?" for one in GUARDS))]


def _fitting(name: str, value: Any, schema: Mapping[str, Any]) -> Any:
    fitting = spelled_out(value, schema)
    if name in ("timezones", "customer_timezones"):
        return {key: zone for key, zone in fitting.items() if not is_unset(zone)}
    if isinstance(fitting, str) and name != "hash_key":  # whose hashes stand in tables
        fitting = fitting.strip()
    try:
        msgspec.convert(fitting, _TYPES[name])
    except msgspec.ValidationError:
        raise Misspelled(f"must be {wanted(schema)}") from None
    return fitting


def _has_half(value: Any) -> bool:
    """Whether a text in it has half of a pair of surrogates: no encoding has bytes for it."""
    try:
        msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:
        return True
    except (TypeError, ValueError, RecursionError):  # said where it is read
        return False
    return False
