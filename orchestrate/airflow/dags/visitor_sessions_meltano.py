"""What the tasks ask of Meltano: the customers, the saved states, a run.

Knows no Airflow. Settings, from the environment:

    VISITOR_SESSIONS_PROJECT      folder of meltano.yml (default: this checkout)
    VISITOR_SESSIONS_MELTANO      the meltano command (default: meltano, from PATH)
    VISITOR_SESSIONS_ENVIRONMENT  Meltano environment (default: production)
    VISITOR_SESSIONS_LOADER       the loader (default: target-postgres)
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from visitor_sessions_plan import Piece
from visitor_sessions_run import TAP, own_folder

SETTING = "TAP_VISITOR_SESSIONS_"
SHORTEST = 8
"""Shorter texts of an object are names of formats and the like, which a log needs."""
RUN = Path(__file__).with_name("visitor_sessions_run.py")
SECRET = re.compile(
    r"(TAP|TARGET|MELTANO|AWS|AZURE|GOOGLE|SNOWFLAKE|PG)\w*(TOKEN|LOGIN|PASSWORD|PASSPHRASE|SECRET|KEY"
    r"|CREDENTIAL|URL|URI|DSN|CONNECTION_STRING|BATCH_CONFIG|STREAM_MAP)\w*|(HTTPS?|ALL)_PROXY",
    re.IGNORECASE,
)
"""Names of variables that hold a secret, alone or among other things."""
PLAIN = "TAP_VISITOR_SESSIONS_API_URL"


def _parts(value: str) -> list[str]:
    """What of a value is a secret by itself: the password of a URL, texts of an object of JSON."""
    with suppress(ValueError):
        url = urlsplit(value)
        if url.password:
            return [url.password, unquote(url.password)]
    with suppress(ValueError):
        return [text for text in _texts(json.loads(value)) if len(text) >= SHORTEST]
    return []


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]


class MeltanoError(RuntimeError):
    """Meltano ended with an error; its log says why."""


class Meltano:
    """The Meltano command, with the environment that it is to see.

    Args:
        env: Environment variables beside the process's own.
        log: Takes each line that Meltano logs.
    """

    def __init__(self, env: Mapping[str, str], log: Callable[[str], None]) -> None:
        self.env = {**os.environ, "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false", **env}
        self.env.setdefault(f"{SETTING}ACCOUNT_TYPE", "partner")
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.environment = self.env.get("VISITOR_SESSIONS_ENVIRONMENT", "production")
        self.loader = self.env.get("VISITOR_SESSIONS_LOADER", "target-postgres")

    @property
    def secrets(self) -> list[str]:
        """Values of the environment that no log may show."""
        found: list[str] = []
        for name, value in self.env.items():
            if SECRET.fullmatch(name) and name != PLAIN and value:
                found += [value, *_parts(value)]
        return found

    @property
    def state_prefix(self) -> str:
        """What `meltano run` puts before a suffix to make a state id."""
        return f"{self.environment}:{TAP}-to-{self.loader}:"

    def customers(self) -> list[dict[str, Any]]:
        """The partner's customers, as the tap lists them."""
        listed: list[dict[str, Any]] = json.loads(self._capture("invoke", TAP, "--customers"))
        return listed

    def states(self) -> dict[str, Any]:
        """All saved states by id, `{"completed": ..., "partial": ...}` each."""
        saved: dict[str, Any] = json.loads(self._capture("state", "export"))
        return saved

    def save(self, states: Mapping[str, Any]) -> None:
        """Save states by suffix, in place of what was there."""
        whole = {self.state_prefix + suffix: state for suffix, state in states.items()}
        self._capture("state", "import", stdin=json.dumps(whole))

    def read(self, piece: Piece) -> None:
        """Run tap and loader for a piece; its log goes line by line to `log`.

        `--force`: Airflow has seen to it that this task runs once. Without it Meltano refuses
        for five minutes after a run that was killed.

        Raises:
            MeltanoError: it failed, or was ended.
        """
        env = {
            **self.env,
            f"{SETTING}USER_IDS": json.dumps(piece["user_ids"]),
            f"{SETTING}START_DATE": piece["start"],
        }
        env.pop(f"{SETTING}END_DATE", None)
        if piece["end"]:
            env[f"{SETTING}END_DATE"] = piece["end"]
        suffix = f"--state-id-suffix={piece['suffix']}"
        command = self._command("run", "--no-install", "--force", suffix, TAP, self.loader)
        process = self._process = subprocess.Popen(
            [sys.executable, str(RUN), *command],
            cwd=self._project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                self._log(line.rstrip())
            process.wait()
        except BaseException:
            process.terminate()  # the rest of it goes on alone, and ends soon
            raise
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what a killed Meltano has left behind
        if process.returncode:
            raise MeltanoError(f"meltano run ended with {process.returncode}: {piece['suffix']}")

    def end(self) -> None:
        """Ask `read` to end, with its last STATE saved; it fails then. Fit for a signal handler."""
        if self._process is not None:
            self._process.terminate()

    def _capture(self, *arguments: str, stdin: str = "") -> str:
        """What a command writes on stdout; its log goes to `log`."""
        with own_folder(self._project) as own:
            done = subprocess.run(
                self._command(*arguments),
                cwd=self._project,
                env={**self.env, **own},
                input=stdin,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        for line in done.stderr.splitlines():
            self._log(line)
        if done.returncode:
            raise MeltanoError(f"meltano {arguments[0]} ended with {done.returncode}")
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        command = self.env.get("VISITOR_SESSIONS_MELTANO", "meltano")
        full = [command, f"--environment={self.environment}", "--log-format=plain", *arguments]
        self._log("$ " + " ".join(full))
        return full

    @property
    def _project(self) -> Path:
        return Path(self.env.get("VISITOR_SESSIONS_PROJECT") or Path(__file__).parents[3])
