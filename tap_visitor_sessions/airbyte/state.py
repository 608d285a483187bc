"""The stream's state: in the Singer host's form, so that either can go on from it, and what a full
refresh needs beside it.

    "generation_id": under which the rows that the state stands for have been read
    "full_refresh": "running" or "complete"; not there where the last read was incremental
    "sync_id": of the sync that made the full refresh, where the platform tells it
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tap_visitor_sessions.airbyte.catalog import Configured
from tap_visitor_sessions.config import DAYS, STREAM, Settings, json_in, text_of
from tap_visitor_sessions.sessions import (
    ALL_IS_READ,
    FIX,
    MEMBERS,
    StateError,
    StreamState,
    type_name,
    without_days,
)

logger = logging.getLogger("tap-visitor-sessions.airbyte")

_GENERATION, _FULL_REFRESH, _SYNC = "generation_id", "full_refresh", "sync_id"
_RUNNING, _COMPLETE = "running", "complete"
_KNOWN = MEMBERS | {_GENERATION, _FULL_REFRESH, _SYNC}
FORM = json.dumps(
    [
        {
            "type": "STREAM",
            "stream": {"stream_descriptor": {"name": STREAM}, "stream_state": {"...": "..."}},
        }
    ]
)


class AirbyteState(StreamState):
    """What has been saved of the stream, and is saved again with what a run adds.

    Args:
        given: What `--state` holds: state messages of any type, Singer's STATE, or nothing.

    Attributes:
        is_complete: Whether an earlier attempt of this sync has read all of its full refresh: a
            destination that failed after it has those rows already.

    Raises:
        StateError: it is nothing that this source, or the tap, has written.
    """

    def __init__(self, given: object, settings: Settings, wanted: Configured) -> None:
        states = None if given in (None, [], {}) else _states(given)
        progress = {} if states is None else _without_unknown(_own(states))
        self.is_complete = _is_complete(progress, wanted)
        refusal = None if self.is_complete else _refusal(progress, wanted)
        if refusal is not None:
            if refusal:
                logger.warning("The state is %s: %s", refusal, ALL_IS_READ)
            progress = {}
        was_empty = not progress
        # A stream that was cleared alone has no state.
        if wanted.days is not None and not any(name == DAYS and one for name, one in states or ()):
            without_days(progress)
        super().__init__(progress, is_partner=settings.is_partner, account=settings.account)
        if was_empty and wanted.generation_id is not None:
            self.progress[_GENERATION] = wanted.generation_id
        if self.is_complete:
            return
        self.progress.pop(_FULL_REFRESH, None)
        self.progress.pop(_SYNC, None)
        if wanted.is_full_refresh:
            self.progress[_FULL_REFRESH] = _RUNNING
            if wanted.sync_id is not None:
                self.progress[_SYNC] = wanted.sync_id

    def complete(self) -> None:
        """A full refresh has read everything."""
        self.progress[_FULL_REFRESH] = _COMPLETE


def _is_complete(progress: Mapping[str, Any], wanted: Configured) -> bool:
    return (
        wanted.is_full_refresh
        and wanted.sync_id is not None
        and progress.get(_FULL_REFRESH) == _COMPLETE
        and progress.get(_SYNC) == wanted.sync_id
        and progress.get(_GENERATION) == wanted.generation_id
    )


def _refusal(progress: Mapping[str, Any], wanted: Configured) -> str | None:
    """Why a run does not build on a state; "" where that is nothing to tell, None where it does."""
    if not progress:
        return None
    its = progress.get(_GENERATION)
    course = progress.get(_FULL_REFRESH)
    if wanted.is_full_refresh:
        if course == _COMPLETE:
            return ""  # the one before: each full refresh reads all
        if course != _RUNNING:
            return "of an incremental read, and this is a full refresh"
        if wanted.generation_id not in (None, its):
            which = "without a generation" if its is None else f"of generation {its}"
            return f"of a full refresh {which}, and this is {wanted.generation_id}"
        return None
    if course == _RUNNING:
        return "of a full refresh that was not completed, and this is an incremental read"
    least = wanted.minimum_generation_id
    if least and not (isinstance(its, int) and its >= least):
        which = "no generation" if its is None else f"generation {its}"
        return f"of {which}, whose rows the destination drops (it keeps {least} on)"
    return None


def read_state(path: str) -> Any:
    """What a state file holds: JSON, or a line of JSON for each message, as a read writes them;
    None where it is empty.

    Raises:
        TapError: it cannot be read, or is no JSON.
    """
    text = text_of(path, "state")  # once: it may be a pipe
    lines = [line for line in text.split("\n") if line.strip()]
    with suppress(ValueError, RecursionError):
        if len(lines) > 1:
            return [json.loads(line) for line in lines]
    if lines:
        return json_in(text, path, "state")
    logger.warning("The state file %s is empty: %s", path, ALL_IS_READ)
    return None


def _states(given: object) -> list[tuple[str, Any]]:
    """Streams' names and states in what was given."""
    return [pair for one in (given if isinstance(given, list) else [given]) for pair in _in(one)]


def _own(states: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    """The stream's state: of several the last; {} where there is none."""
    own = [state for name, state in states if name == STREAM]
    if others := sorted({name for name, _ in states} - {STREAM, DAYS}):
        names = ", ".join(" ".join(name.split())[:60] for name in others[:5])
        and_so = "they are left out" if own else ALL_IS_READ
        what = "holds other streams" if own else f"has nothing about {STREAM}, only"
        logger.warning("The state %s: %s: %s", what, names, and_so)
    elif not own:
        logger.warning("The state has nothing about %s: %s", STREAM, ALL_IS_READ)
    found = own[-1] if own else {}
    if not isinstance(found, Mapping):
        raise StateError(f"The state of {STREAM} is not an object but {type_name(found)}: {FIX}")
    return found


def _in(message: object) -> Iterator[tuple[str, Any]]:
    """Streams' names and states in one state of any form: Airbyte's by stream, GLOBAL or LEGACY,
    with its envelope or without, and Singer's, bare or wrapped."""
    if not isinstance(message, Mapping):
        raise _unreadable(type_name(message))
    for inner in ("state", "value", "singer_state"):  # envelopes: Airbyte's, Singer's, Meltano's
        if isinstance(message.get(inner), Mapping):
            yield from _in(message[inner])
            return
    if "stream" in message:
        yield _described(message["stream"])
    elif "global" in message:
        whole = message["global"]
        if not isinstance(whole, Mapping) or not isinstance(whole.get("stream_states"), list):
            raise _unreadable("a GLOBAL one without stream_states")
        if whole.get("shared_state"):
            logger.warning("The state's shared_state is not from this connector: it is ignored")
        yield from map(_described, whole["stream_states"])
    elif "data" in message or message.get("type") == "LEGACY":
        yield from _legacy(message.get("data"))
    else:
        yield from _legacy(message)


def _described(one: object) -> tuple[str, Any]:
    descriptor = one.get("stream_descriptor") if isinstance(one, Mapping) else None
    name = descriptor.get("name") if isinstance(descriptor, Mapping) else None
    if not isinstance(one, Mapping) or not isinstance(name, str):
        raise _unreadable("one without a stream_descriptor")
    return name, one.get("stream_state") or {}


def _legacy(data: object) -> Iterator[tuple[str, Any]]:
    """States by stream's name, as both LEGACY and Singer's bookmarks have them."""
    if not data:
        return
    by_name = data.get("bookmarks", data) if isinstance(data, Mapping) else data
    if not isinstance(by_name, Mapping) or not all(
        isinstance(state, Mapping) for state in by_name.values()
    ):
        raise _unreadable("one of another form")
    yield from ((str(name), state) for name, state in by_name.items())


def _unreadable(what: str) -> StateError:
    return StateError(f"The state is {what}, not of the form {FORM}: {FIX}")


def _without_unknown(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without the members that neither this source nor the tap writes."""
    found = {name: value for name, value in state.items() if name in _KNOWN}
    unknown = {name for name in state if name not in _KNOWN}
    partitions = found.get("partitions")
    if isinstance(partitions, list) and all(isinstance(one, Mapping) for one in partitions):
        unknown |= {name for one in partitions for name in one if name not in _KNOWN}
        found["partitions"] = [
            {name: value for name, value in one.items() if name in _KNOWN} for one in partitions
        ]
    if unknown:
        names = ", ".join(sorted(" ".join(str(name).split())[:60] for name in unknown)[:10])
        logger.warning("The state has members of another connector, ignored: %s", names)
    return found
