"""What a user can turn: the settings, the filter, the declaration of the stream."""

from tap_visitor_sessions.config import environment
from tap_visitor_sessions.config.files import json_of, object_of, text_of
from tap_visitor_sessions.config.hashing import hashed_schema
from tap_visitor_sessions.config.schema import (
    ACCOUNT,
    ADDED,
    BOOKMARK,
    KEY,
    STREAM,
    key_columns,
    record_schema,
)
from tap_visitor_sessions.config.settings import (
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
from tap_visitor_sessions.config.stream import emitted_schema, key_of
from tap_visitor_sessions.config.validation import core_settings, problems

__all__ = [
    "ACCOUNT",
    "ADDED",
    "BOOKMARK",
    "KEY",
    "SCHEMA",
    "SENSITIVE",
    "SINGERS",
    "STREAM",
    "Settings",
    "SettingsError",
    "core_settings",
    "emitted_schema",
    "environment",
    "hashed_schema",
    "json_of",
    "key_columns",
    "key_of",
    "local_folder",
    "local_url",
    "make_folder",
    "normalized",
    "object_of",
    "problems",
    "record_schema",
    "storage_problems",
    "storing",
    "text_of",
    "unknown",
]
