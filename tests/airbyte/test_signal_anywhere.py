"""A signal at each place of a read: what was written and the last STATE fit, to the session."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from airbyte_runs import Done, full_refresh, read_here
from conftest import MakeSandbox
from support import config_of

from sandbox.data import make_sessions
from tap_visitor_sessions.airbyte import source as airbyte_source
from tap_visitor_sessions.airbyte.messages import Messages
from tap_visitor_sessions.sessions import output
from tap_visitor_sessions.sessions.bookmarks.positions import Positions


class _EndedError(BaseException):
    """Instead of the end of the process."""


class Places:
    """Lets a signal arrive at the n-th of the places that the read passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0
        self.at = -1
        self._read: Any = None
        places = self

        class Stdout(io.StringIO):
            def write(self, text: str) -> int:
                places.one()
                half = len(text) // 2
                super().write(text[:half])
                places.one()
                super().write(text[half:])
                places.one()
                return len(text)

        self.stdout = Stdout
        keep = Positions._keep

        def kept(positions: Positions, user: Any) -> None:
            places.one()
            keep(positions, user)
            places.one()

        def heed(read: airbyte_source._Read) -> None:
            places._read = read

        def end(_: int) -> None:
            raise _EndedError

        monkeypatch.setattr(Positions, "_keep", kept)
        monkeypatch.setattr(airbyte_source._Read, "_heed_signals", heed)
        monkeypatch.setattr(airbyte_source, "end_by_signal", end)
        monkeypatch.setattr(airbyte_source, "exit_soon", lambda *_: None)

    def one(self) -> None:
        self.passed += 1
        if self.passed == self.at and self._read is not None:
            self._read._ended(signal.SIGTERM, None)
            self._read._ended(signal.SIGTERM, None)  # a second one changes nothing

    def read(self, config: dict[str, Any], at: int) -> Done:
        self.passed, self.at, self._read = 0, at, None
        out = self.stdout()
        code = 0
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "stdout", out)
            try:
                airbyte_source.Source(Messages()).read(config, full_refresh(1), None)
            except _EndedError:
                code = -signal.SIGTERM
        return Done(code, [json.loads(line) for line in out.getvalue().splitlines()], "")


@pytest.fixture
def places() -> Iterator[Places]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(airbyte_source, "STATE_RECORDS", 4)
        monkeypatch.setattr(output, "RECORDS_PER_WRITE", 3)
        yield Places(monkeypatch)


def test_whatever_was_written_a_last_state_stands_for_it(
    places: Places, make_sandbox: MakeSandbox
) -> None:
    sandbox = make_sandbox(rows=make_sessions(14, seed=2))
    config = config_of(sandbox, concurrency=1, page_size=8)
    whole = places.read(config, at=-1)
    ids = sorted(record["id"] for record in whole.records)
    assert (whole.code, len(ids)) == (0, 14)
    every, ended = places.passed, 0
    for at in range(1, every, 3):
        done = places.read(config, at)
        if done.code == 0:  # too late
            assert done.statuses[-1] == "COMPLETE"
            continue
        ended += 1
        assert done.statuses[-1] == "INCOMPLETE"
        counts = [one["state"]["sourceStats"]["recordCount"] for one in done.of("STATE")]
        assert sum(counts) == len(done.records)
        places.at = -1
        rest = read_here(config, full_refresh(1), done.state)
        assert sorted(r["id"] for r in [*done.records, *rest.records]) == ids, at
    assert ended > every / 4
