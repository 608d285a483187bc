"""Stream maps, checked before anything is read."""

from tap_visitor_sessions.singer.maps.names import dropped_maps, likely_slips, unknown_names
from tap_visitor_sessions.singer.maps.validation import (
    change,
    check_config,
    check_expressions,
    check_targets,
    flattening,
    name_failures,
    naming,
)

__all__ = [
    "change",
    "check_config",
    "check_expressions",
    "check_targets",
    "dropped_maps",
    "flattening",
    "likely_slips",
    "name_failures",
    "naming",
    "unknown_names",
]
