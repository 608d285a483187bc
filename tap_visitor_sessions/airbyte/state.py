"""The stream's state: the marks as the Singer host saves them, so that either can go on from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_visitor_sessions.airbyte.messages import STREAM
from tap_visitor_sessions.sessions import saved
from tap_visitor_sessions.sessions.account import User
from tap_visitor_sessions.sessions.marks import Former, Marks
from tap_visitor_sessions.sessions.saved import CURE, StateError


class StreamState:
    """What has been saved of the stream, and is saved again with what a run adds.

    Args:
        given: What `--state` holds: a list of state messages, or nothing.

    Raises:
        StateError: it is nothing that this source has said.
    """

    def __init__(self, given: object, account: str | None) -> None:
        self._progress: dict[str, Any] = dict(_own(given))
        self.former: Former = saved.former_of(self._progress)
        its = self._progress.get(saved.ACCOUNT)
        if its is not None and its != account:
            raise StateError(
                f"The state is of account {its!r}, the setting account is {account!r}: {CURE}"
            )
        saved.name_account(self._progress, account)

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
    return {}
