"""A run by login logs out once all is said; its exit code is its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MakeSandbox
from hosts import EVERY_HOST, Host
from support import config_of

from sandbox import Faults

METHOD = "get.visitor_sessions_report"


@EVERY_HOST
@pytest.mark.parametrize("fails", [False, True], ids=["complete", "failed"])
def test_a_run_logs_out_and_ends_as_it_did(
    host: Host, fails: bool, make_sandbox: MakeSandbox, tmp_path: Path
) -> None:
    errors = {METHOD: ["forbidden"]} if fails else {}
    errors["logout.user"] = ["internal_error"]
    sandbox = make_sandbox(sessions=20, faults=Faults(errors=errors))
    config = config_of(sandbox, login=sandbox.login, password=sandbox.password)
    del config["access_token"]
    run = host.run_process(config, directory=tmp_path)
    assert [call.method for call in sandbox.calls].count("logout.user") == 1
    assert sandbox.calls[-1].method == "logout.user"
    if fails:
        assert "no right to call" in run.error
    else:
        assert len(run.check().records) == 20
