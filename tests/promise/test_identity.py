"""Two accounts never meet in one state, whatever key comes; and asking costs next to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agencies import agency, rows_of
from agencies import config_of as partner_config
from conftest import MakeSandbox
from hosts import EVERY_HOST, Host
from support import config_of, run_tap


@EVERY_HOST
def test_the_state_of_another_account_is_refused_and_a_rotated_key_is_not(
    host: Host, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    one = make_sandbox(sessions=5, app_id=501, timezone="UTC")
    config = config_of(one, timezone="UTC", lookback_window="PT0S", end_date="2024-06-01")

    def asked() -> int:
        found = sum(call.method == "get.account" for call in one.calls)
        one.calls.clear()
        return found

    first = host.run(config, directory=tmp_path).check()
    assert (len(first.records), asked()) == (5, 1)
    again = host.run(config, directory=tmp_path, state=first.state).check()
    assert asked() == 0
    one.token = "a-rotated-key"
    rotated = host.run(config_of(one, **_rest(config)), directory=tmp_path, state=again.state)
    assert (rotated.check().records, asked()) == ([], 1)
    for run in (first, again, rotated):
        assert "sandbox-token" not in str(run.state)
        assert "a-rotated-key" not in str(run.state)
    other = make_sandbox(sessions=5, app_id=777, timezone="UTC", token="the-others-key")
    refused = host.run(config_of(other, **_rest(config)), directory=tmp_path, state=rotated.state)
    assert "app_id 501" in refused.error
    assert "app_id 777" in refused.error
    assert "account" in refused.error
    assert (refused.records, other.reports) == ([], [])


def _rest(config: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in config.items() if name not in ("api_url", "access_token")
    }


def test_where_the_account_is_not_known_the_run_goes_on_and_warns_of_another_key(
    make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(**agency(rows_of([10], 5)))
    config = partner_config(sandbox, lookback_window="PT0S")
    first = run_tap(config, directory=tmp_path)
    assert first.code == 0, first.stderr
    assert "WARNING" not in first.stderr
    sandbox.token = "another"
    second = run_tap(partner_config(sandbox), state=first.state, directory=tmp_path)
    assert second.code == 0, second.stderr
    [warning] = [line for line in second.stderr.splitlines() if "WARNING" in line]
    assert "whose account it is" in warning
    third = run_tap(partner_config(sandbox), state=second.state, directory=tmp_path)
    assert "WARNING" not in third.stderr
    assert sum(call.method == "getobj.account" for call in sandbox.calls) == 2 + 3


@pytest.mark.parametrize("set_", ["Asia/Tokyo", "Europe/Moscow"])
def test_a_zone_that_the_api_contradicts_is_warned_about(
    set_: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    sandbox = make_sandbox(sessions=1, timezone="Europe/Moscow")
    run = run_tap(config_of(sandbox, timezone=set_), directory=tmp_path)
    told = [line for line in run.stderr.splitlines() if "WARNING" in line]
    assert [("Asia/Tokyo" in line, "Europe/Moscow" in line) for line in told] == [
        (True, True) for _ in range(set_ == "Asia/Tokyo")
    ]


@pytest.mark.parametrize("odd", ["a\nkey", "sandbox-token\u2028", "7" * 65, "", "a b"])
def test_what_is_no_id_gets_into_no_state(
    odd: str, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    """A state is kept and shown: what the API puts there is an id or nothing."""
    sandbox = make_sandbox(sessions=5, timezone="UTC")
    sandbox.app_id = odd  # type: ignore[assignment]
    run = run_tap(config_of(sandbox), directory=tmp_path).check()
    assert len(run.records) == 5
    assert "app_id" not in run.state["bookmarks"]["visitor_sessions"]
