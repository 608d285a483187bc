"""The stream's state: the marks as the Singer host saves them, so that either can go on from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tap_visitor_sessions.config import STREAM, Settings, json_of, text_of
from tap_visitor_sessions.sessions import ALL_IS_READ, CURE, Former, Marks, StateError, User, saved

logger = logging.getLogger("tap-visitor-sessions.airbyte")


class StreamState:
    """What has been saved of the stream, and is saved again with what a run adds.

    Args:
        given: What `--state` holds: a list of state messages, or nothing.

    Raises:
        StateError: it is nothing that this source has said.
    """

    def __init__(self, given: object, settings: Settings) -> None:
        self._progress: dict[str, Any] = dict(_own(given))
        for line in saved.check_progress(
            self._progress, is_partner=settings.is_partner, account=settings.account or None
        ):
            logger.warning("%s", line)
        self.former: Former = saved.former_of(self._progress)
        saved.name_account(self._progress, settings.account or None)

    def keep(self, user: User | None, marks: Marks) -> None:
        """Put marks into the state."""
        progress = self._progress
        if user is not None:
            progress = self._partition(user.user_id)
            saved.name_customer(progress, user.customer_id)
        saved.write_marks(progress, marks)

    def _partition(self, user_id: int) -> dict[str, Any]:
        partitions: list[dict[str, Any]] = self._progress.setdefault("partitions", [])
        for partition in partitions:
            if partition.get("context", {}).get("user_id") == user_id:
                return partition
        partitions.append({"context": {"user_id": user_id}})
        return partitions[-1]

    def value(self) -> dict[str, Any]:
        """The state as it stands."""
        return self._progress


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
            raise StateError(f"The state is no list of state messages: {CURE}")
        if message.get("type") == "STATE":  # with its envelope
            message = message.get("state")
        stream = message.get("stream") if isinstance(message, Mapping) else None
        if not isinstance(stream, Mapping):
            raise StateError(f"The state is not by stream: {CURE}")
        descriptor = stream.get("stream_descriptor")
        if isinstance(descriptor, Mapping) and descriptor.get("name") == STREAM:
            found = stream.get("stream_state") or {}
            if not isinstance(found, Mapping):
                raise StateError(f"The state of {STREAM} is no object: {CURE}")
            return found
    logger.warning("The state knows nothing of %s: %s", STREAM, ALL_IS_READ)
    return {}
