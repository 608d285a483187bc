"""What a user can turn: the settings, the filter, the declaration of the stream."""

from tap_visitor_sessions.config import environment
from tap_visitor_sessions.config.dates import is_zone
from tap_visitor_sessions.config.excluding import excluded_members, without
from tap_visitor_sessions.config.files import json_in, json_of, object_of, text_of
from tap_visitor_sessions.config.parsing import is_unset, spelled_out
from tap_visitor_sessions.config.schema import (
    ACCOUNT,
    ADDED,
    BOOKMARK,
    CUSTOMER,
    DAYS,
    KEY,
    READ_AT,
    STREAM,
    UNLESS_ASKED,
    days_key,
    days_schema,
    enumerations,
    key_columns,
    record_schema,
)
from tap_visitor_sessions.config.settings import (
    GUARDS,
    SCHEMA,
    SENSITIVE,
    SINGERS,
    Settings,
    SettingsError,
    normalized,
    unknown,
)
from tap_visitor_sessions.config.storage import (
    local_folder,
    local_url,
    make_folder,
    storage_problems,
    storing,
)
from tap_visitor_sessions.config.stream import (
    emitted_schema,
    key_of,
    left_out,
    privacy_note,
    stream_of,
)
from tap_visitor_sessions.config.validation import core_settings, foreign, problems

__all__ = [
    "ACCOUNT",
    "ADDED",
    "BOOKMARK",
    "CUSTOMER",
    "DAYS",
    "GUARDS",
    "KEY",
    "READ_AT",
    "SCHEMA",
    "SENSITIVE",
    "SINGERS",
    "STREAM",
    "UNLESS_ASKED",
    "Settings",
    "SettingsError",
    "core_settings",
    "days_key",
    "days_schema",
    "emitted_schema",
    "enumerations",
    "environment",
    "excluded_members",
    "foreign",
    "is_unset",
    "is_zone",
    "json_in",
    "json_of",
    "key_columns",
    "key_of",
    "left_out",
    "local_folder",
    "local_url",
    "make_folder",
    "normalized",
    "object_of",
    "privacy_note",
    "problems",
    "record_schema",
    "spelled_out",
    "storage_problems",
    "storing",
    "stream_of",
    "text_of",
    "unknown",
    "without",
]
