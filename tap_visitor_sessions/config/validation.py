"""What cannot work in a configuration whose values fit their declarations, told at start."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pendulum

from tap_visitor_sessions.api import ConfigError, holds, redacted
from tap_visitor_sessions.config.customers import customers_of
from tap_visitor_sessions.config.dates import Moment, is_zone, parse_duration, shortened
from tap_visitor_sessions.config.excluding import SETTING as EXCLUDE
from tap_visitor_sessions.config.excluding import exclude_problems
from tap_visitor_sessions.config.filters import filter_problems
from tap_visitor_sessions.config.hashing import SECRET, SETTING, hash_problems
from tap_visitor_sessions.config.parsing import texts_in, wanted
from tap_visitor_sessions.config.schema import key_columns, record_schema
from tap_visitor_sessions.config.settings import (
    COMPRESSIONS,
    PROPERTIES,
    SECRETS,
    SINGERS,
    Batch,
    Encoding,
    FakerConfig,
    Settings,
    SettingsError,
    misspelt_guards,
    normalized,
    unknown,
)
from tap_visitor_sessions.config.storage import prefix_problems, root_problems

logger = logging.getLogger("tap-visitor-sessions.settings")

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_CREDENTIALS = ("access_token", "login", "password")
_PARTNERS = ("user_ids", "exclude_customer_ids", "customer_timezones", "timezones")


def problems(config: Mapping[str, Any]) -> list[str]:
    """What cannot work in a configuration: a line per problem, each beginning with the setting's
    name, and none with the value of a secret."""
    clean, found = normalized(config)
    found = misspelt_guards(config) + found or list(_contradictions(clean))
    secrets = _repeated_secrets(config) if found else []
    if secrets:
        parts = [line.partition(":") for line in found]
        found = [f"{name}:{redacted(what, secrets)}" for name, _, what in parts]
    return [" ".join(line.split()) for line in found]


def _repeated_secrets(config: Mapping[str, Any]) -> list[str]:
    """Secrets that stand, whole or in part, in the value of another setting too, as after a slip
    of the hand."""
    others = str({name: value for name, value in config.items() if name not in SECRETS})
    held = [text for name in SECRETS for text in texts_in(config.get(name))]
    return [text for text in held if holds(others, text)]


def core_settings(config: Mapping[str, Any]) -> Settings:
    """The settings of a host other than Singer; Singer's own are passed over, with a warning.

    Raises:
        SettingsError: one cannot work.
    """
    own = {name: value for name, value in config.items() if name not in SINGERS}
    if found := problems(own):
        raise SettingsError(found)
    for line in unknown(own):
        logger.warning("Setting %s", line)
    for name in config:
        if name in SINGERS and config[name]:
            logger.warning("Setting %s", foreign(name))
    return Settings.from_config(own)


def foreign(name: str) -> str:
    """What to say of one of Singer's own settings in another host."""
    line = f"{name}: of the Singer tap alone, and passed over here"
    if name != "stream_maps":
        return line
    return f"{line}: what it hashes or takes out goes out in clear. Use {EXCLUDE} or {SETTING}"


def _contradictions(clean: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in values each of which fits its own declaration."""
    yield from _credential_problems(clean)
    yield from _url_problems(clean.get("api_url", PROPERTIES["api_url"]["default"]))
    yield from _date_problems(clean)
    yield from _zone_problems(clean)
    yield from _partner_problems(clean)
    yield from _exclude_problems(clean)
    examples = PROPERTIES[SECRET]["examples"]
    yield from hash_problems(clean.get(SETTING, ()), clean.get(SECRET), examples)
    yield from _output_problems(clean)
    if "filter" in clean:
        yield from filter_problems(clean["filter"])


def _credential_problems(clean: Mapping[str, Any]) -> Iterator[str]:
    token, login, password = (name in clean for name in _CREDENTIALS)
    if token and (login or password):
        yield "access_token: set either it, or login and password, not both"
    elif not token and not login and not password:
        yield "access_token: set it, or login and password"
    elif login != password:
        yield f"{'password' if login else 'login'}: login and password go together"


def _url_problems(text: str) -> Iterator[str]:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        yield "api_url: not a URL"
        return
    if url.scheme not in {"http", "https"} or not host:
        yield "api_url: not an http(s) URL"
    elif url.username or url.password:
        yield "api_url: must not hold a user or password"
    elif url.query or url.fragment or not text.isprintable() or " " in text:
        yield "api_url: must not hold ?, #, blanks or control characters"
    elif url.scheme == "http" and host not in _LOOPBACK:
        yield "api_url: plain http would send the key unencrypted; use https"


def _date_problems(clean: Mapping[str, Any]) -> Iterator[str]:
    found: dict[str, Moment] = {}
    for name in ("start_date", "end_date"):
        if name in clean:
            try:
                found[name] = Moment.parse(name, clean[name])
            except ConfigError as problem:
                yield f"{name}: {problem.reason}"
    for name in ("lookback_window", "recheck_window"):
        if name in clean:
            try:
                parse_duration(name, clean[name])
            except ConfigError as problem:
                yield f"{name}: {problem.reason}"
    if len(found) == 2:
        start, end = found["start_date"].value, found["end_date"].through().value
        same = (start.tzinfo is None) == (end.tzinfo is None)
        # Of a time with an offset and one without: only what holds in every zone.
        leeway = timedelta(0) if same else timedelta(days=1)
        zone = clean.get("timezone")
        if not same and is_zone(zone) and clean.get("account_type") != "partner":
            tz, leeway = pendulum.timezone(str(zone)), timedelta(0)
            start, end = (
                (at if at.tzinfo else at.replace(tzinfo=tz, fold=fold)).astimezone(timezone.utc)
                for fold, at in enumerate((start, end))
            )
        if start.replace(tzinfo=None) - end.replace(tzinfo=None) > leeway:
            yield "end_date: earlier than start_date"


def _zone_problems(clean: Mapping[str, Any]) -> Iterator[str]:
    zones = {"timezone": clean.get("timezone")}
    for setting, whose in (("timezones", "user"), ("customer_timezones", "customer")):
        for key, zone in clean.get(setting, {}).items():
            zones[f"{setting}.{key}"] = zone
            if not (key.isascii() and key.isdigit() and len(key) < 19):
                yield f"{setting}: {shortened(key)} is no {whose} id"
    for setting, zone in zones.items():
        if zone is not None and not is_zone(zone):
            yield f"{setting}: {shortened(zone)} is not an IANA time zone such as Europe/Moscow"


def _partner_problems(clean: Mapping[str, Any]) -> Iterator[str]:
    if clean.get("account_type") != "partner":
        for name in (*_PARTNERS, "customers_file"):
            if clean.get(name):
                yield f"{name}: only for account_type partner"
    elif "customers_file" in clean:
        try:
            customers_of(clean["customers_file"])
        except ConfigError as problem:
            yield f"customers_file: {problem.reason}"


def _exclude_problems(clean: Mapping[str, Any]) -> Iterator[str]:
    is_partner, has_account = clean.get("account_type") == "partner", "account" in clean
    schema = record_schema(is_partner=is_partner, has_account=has_account, is_whole=True)
    key = key_columns(is_partner=is_partner, has_account=has_account)
    yield from exclude_problems(clean.get(EXCLUDE, ()), schema, key)


def _output_problems(clean: Mapping[str, Any]) -> Iterator[str]:
    for name, struct in (("batch_config", Batch), ("faker_config", FakerConfig)):
        if clean.get(name):
            try:
                given = msgspec.convert(clean[name], struct, strict=False)
            except msgspec.ValidationError as problem:
                yield f"{name}: {problem}{_allowed(name, str(problem))}"
            else:
                if isinstance(given, Batch):
                    yield from _encoding_problems(given.encoding)
                    yield from root_problems(given.storage.root)
                    yield from prefix_problems(given.storage.prefix or "")
    if clean.get("flattening_enabled") and "flattening_max_depth" not in clean:
        yield "flattening_max_depth: is required where flattening_enabled is true"
    if clean.get("batch_config") and clean.get("stream_maps"):
        # The SDK would announce the mapped schema and write the records unmapped.
        yield "batch_config: does not go with stream_maps"
    if clean.get("batch_config") and clean.get("emit_activate_version_messages"):
        # Rows of files have no version: a loader would drop them as it activates one.
        yield "batch_config: does not go with emit_activate_version_messages"


def _encoding_problems(encoding: Encoding) -> Iterator[str]:
    possible = COMPRESSIONS[encoding.format]
    if encoding.compression not in (None, *possible):
        yield (
            f"batch_config: {encoding.format} does not go with the compression "
            f"{encoding.compression}, only with {' or '.join(possible)}"
        )


def _allowed(name: str, problem: str) -> str:
    """The allowed values of the member that msgspec's message names, as an end of it."""
    schema: Mapping[str, Any] = PROPERTIES[name]
    for member in problem.partition("`$.")[2].rstrip("`").split("."):
        schema = schema.get("properties", {}).get(member, {})
    return f", which must be {wanted(schema)}" if "enum" in schema else ""
