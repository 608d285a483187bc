"""Airbyte's own tests of a source (airbyte-cdk's `standard_tests`), over what the script writes.

`python3 dev.py pyairbyte` runs it by pytest in PyAirbyte's environment, with SANDBOX_URL set.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.test import entrypoint_wrapper
from airbyte_cdk.test.models import ConnectorTestScenario
from airbyte_cdk.test.standard_tests import SourceTestSuiteBase

SCRIPT = Path(sys.executable).with_name("source-visitor-sessions")
TOKEN = "sandbox-token"
CONFIG = {
    "access_token": TOKEN,
    "api_url": os.environ["SANDBOX_URL"],
    "start_date": "2024-05-01",
}
WORKS = {"sections": ("spec", "connection", "discovery", "basic_read"), "status": "succeed"}
SCENARIOS = {
    "customer": ConnectorTestScenario(config_dict=CONFIG, **WORKS),
    "named": ConnectorTestScenario(
        config_dict={**CONFIG, "account": "north", "page_size": 100}, **WORKS
    ),
    "wrong key": ConnectorTestScenario(
        config_dict={**CONFIG, "access_token": f"{TOKEN}-but-wrong"},
        sections=("connection",),
        status="failed",
    ),
}


class Script:
    """What the suite takes for a connector: it is asked nothing, the script is."""

    def spec(self, logger: Any) -> Any:
        """Not called."""
        raise NotImplementedError


def ran(source: Any, args: list[str], **_: Any) -> entrypoint_wrapper.EntrypointOutput:
    """The suite's way to run a command, with the script itself."""
    done = subprocess.run([SCRIPT, *args], capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stdout.split("\n") if line]
    return entrypoint_wrapper.EntrypointOutput(messages=lines, stderr=done.stderr)


@pytest.fixture(autouse=True)
def _by_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoint_wrapper, "_run_command", ran)


@pytest.fixture(params=SCENARIOS.items(), ids=SCENARIOS.keys())
def scenario(request: pytest.FixtureRequest) -> Any:
    """A configuration, and how it should go."""
    name, found = request.param
    found._id = name
    return found


class TestSource(SourceTestSuiteBase):
    """All of them but those that build an image."""

    connector = Script

    @classmethod
    def get_connector_root_dir(cls) -> Path:
        """Where its metadata.yaml is."""
        return Path(__file__).parents[2] / "hub" / "airbyte"


for name in dir(TestSource):
    if name.startswith("test_docker"):
        setattr(TestSource, name, None)
