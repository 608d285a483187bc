"""The stream's state, in the Singer host's form, so that either can go on from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tap_visitor_sessions.config import STREAM, Settings, json_of, text_of
from tap_visitor_sessions.sessions import ALL_IS_READ, FIX, StateError, StreamState

logger = logging.getLogger("tap-visitor-sessions.airbyte")


class AirbyteState(StreamState):
    """What has been saved of the stream, and is saved again with what a run adds.

    Args:
        given: What `--state` holds: a list of state messages, or nothing.

    Raises:
        StateError: it is nothing that this source has said.
    """

    def __init__(self, given: object, settings: Settings) -> None:
        super().__init__(
            dict(_own(given)), is_partner=settings.is_partner, account=settings.account
        )


def read_state(path: str) -> Any:
    """What a state file holds; None where it is empty.

    Raises:
        TapError: it cannot be read, or is no JSON.
    """
    if text_of(path, "state").strip():
        return json_of(path, "state")
    logger.warning("The state file %s is empty: %s", path, ALL_IS_READ)
    return None


def _own(given: object) -> Mapping[str, Any]:
    """The stream's state in a list of messages; {} where there is none."""
    if given in (None, [], {}):
        return {}
    messages = given if isinstance(given, list) else [given]
    for message in messages:
        if not isinstance(message, Mapping):
            raise StateError(f"The state is no list of state messages: {FIX}")
        if message.get("type") == "STATE":  # with its envelope
            message = message.get("state")
        stream = message.get("stream") if isinstance(message, Mapping) else None
        if not isinstance(stream, Mapping):
            raise StateError(f"The state is not by stream: {FIX}")
        descriptor = stream.get("stream_descriptor")
        if isinstance(descriptor, Mapping) and descriptor.get("name") == STREAM:
            found = stream.get("stream_state") or {}
            if not isinstance(found, Mapping):
                raise StateError(f"The state of {STREAM} is no object: {FIX}")
            return found
    logger.warning("The state knows nothing of %s: %s", STREAM, ALL_IS_READ)
    return {}
