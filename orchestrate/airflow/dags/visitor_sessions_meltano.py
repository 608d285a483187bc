"""What the tasks ask of Meltano: the customers, the saved states, a run.

Knows no Airflow. Settings, from the environment:

    VISITOR_SESSIONS_PROJECT      folder of meltano.yml (default: this checkout)
    VISITOR_SESSIONS_MELTANO      the meltano command (default: meltano, from PATH)
    VISITOR_SESSIONS_ENVIRONMENT  Meltano environment (default: production)
    VISITOR_SESSIONS_LOADER       the loader (default: target-postgres)
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from visitor_sessions_log import Log
from visitor_sessions_plan import Piece, Row
from visitor_sessions_run import TAP, own_folder
from visitor_sessions_settings import TAP as SETTING
from visitor_sessions_settings import SettingProblem, environment, text

SHORTEST = 8
"""Shorter texts of an object are names of formats and the like, which a log needs."""
RUN = Path(__file__).with_name("visitor_sessions_run.py")
SECRET = re.compile(
    r"(TAP|TARGET|MELTANO|AWS|AZURE|GOOGLE|SNOWFLAKE|PG)\w*(TOKEN|LOGIN|PASSWORD|PASSPHRASE|SECRET|KEY"
    r"|CREDENTIAL|URL|URI|DSN|CONNECTION_STRING|BATCH_CONFIG|STREAM_MAP)\w*|(HTTPS?|ALL)_PROXY",
    re.IGNORECASE,
)
"""Names of variables that hold a secret, alone or among other things."""
OPEN = re.compile(
    r"VISITOR_SESSIONS_\w+|TAP_VISITOR_SESSIONS_(API_URL|START_DATE|END_DATE|TIMEZONE|PAGE_SIZE"
    r"|CONCURRENCY|LOOKBACK_WINDOW|ACCOUNT|ACCOUNT_TYPE|USER_IDS|EXCLUDE_CUSTOMER_IDS|\w+ZONES"
    r"|MAX_RETRIES|REQUEST_TIMEOUT|ON_\w+)|\w+_DEFAULT_TARGET_SCHEMA"
)
"""Names of variables that hold none, wherever they are set."""


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
    """Meltano ended with an error.

    Attributes:
        passes: Whether another try may go better.
    """

    def __init__(self, message: str, *, passes: bool = True) -> None:
        super().__init__(message)
        self.passes = passes


class Meltano:
    """The Meltano command, with the environment that it is to see.

    Args:
        extras: Environment variables beside the process's own: those of the connection.
        log: Takes each line that Meltano logs, with its level.
    """

    def __init__(self, extras: Mapping[str, Any], log: Callable[[int, str], object]) -> None:
        self.env = environment(os.environ, extras)
        self.env["MELTANO_SEND_ANONYMOUS_USAGE_STATS"] = "false"
        self.env.setdefault(f"{SETTING}ACCOUNT_TYPE", "partner")
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.environment = text(self.env, "ENVIRONMENT", "production")
        self.loader = text(self.env, "LOADER", "target-postgres")

    def check(self) -> None:
        """Whether there is a Meltano, and a project.

        Raises:
            SettingProblem: there is none where a setting says.
        """
        command = text(self.env, "MELTANO", "meltano")
        if shutil.which(command, path=self.env.get("PATH")) is None:
            raise SettingProblem(f"VISITOR_SESSIONS_MELTANO: there is no command {command}")
        if not (self._project / "meltano.yml").is_file():
            raise SettingProblem(f"VISITOR_SESSIONS_PROJECT: {self._project} has no meltano.yml")

    def secrets(self, extras: Mapping[str, Any]) -> set[str]:
        """Values of the environment that no log may show: what has a secret's name, and of the
        connection whatever is not known to be none."""
        found: set[str] = set()
        for name, value in self.env.items():
            named = SECRET.fullmatch(name) or name in extras
            if named and value and not OPEN.fullmatch(name):
                found |= {value, *_parts(value)}
        return found

    @property
    def state_prefix(self) -> str:
        """What `meltano run` puts before a suffix to make a state id."""
        return f"{self.environment}:{TAP}-to-{self.loader}:"

    def customers(self, start: str | None = None) -> list[dict[str, Any]]:
        """The partner's customers, as the tap lists them.

        Args:
            start: The run's own, in place of START_DATE, which need not be set then.
        """
        env = dict(self.env)
        env.pop(f"{SETTING}END_DATE", None)  # it may lie before the run's own start
        if start:
            env[f"{SETTING}START_DATE"] = start
        said = self._capture("invoke", TAP, "--customers", env=env)
        listed: list[dict[str, Any]] = json.loads(said)
        return listed

    def states(self) -> dict[str, Any]:
        """All saved states by id, `{"completed": ..., "partial": ...}` each."""
        saved: dict[str, Any] = json.loads(self._capture("state", "export"))
        return saved

    def state(self, suffix: str) -> dict[str, Any]:
        """One saved state, by its id as in `states`; empty where there is none."""
        state_id = self.state_prefix + suffix
        said = self._capture("state", "get", state_id).strip()
        state = json.loads(said) if said else {}
        return {state_id: {"completed": state}} if state else {}

    def save(self, states: Mapping[str, Any]) -> None:
        """Save states by suffix, in place of what was there."""
        whole = {self.state_prefix + suffix: state for suffix, state in states.items()}
        self._capture("state", "import", stdin=json.dumps(whole))

    def forget(self, state_id: str) -> None:
        """Remove a state."""
        self._capture("state", "clear", "--force", state_id)

    def read(self, piece: Piece, suffix: str, rows: list[Row]) -> None:
        """Run tap and loader for customers of a piece; the log goes line by line to `log`.

        `--force`: Airflow has seen to it that this task runs once. Without it Meltano refuses
        for five minutes after a run that was killed.

        Args:
            suffix: Of the state's id.

        Raises:
            MeltanoError: it failed, or was ended; with the tap's own error where it has one.
        """
        with TemporaryDirectory(prefix="customers-", ignore_cleanup_errors=True) as folder:
            file = Path(folder, "customers.json")
            file.write_text(json.dumps(rows), encoding="utf-8")
            env = self.env | {
                f"{SETTING}CUSTOMERS_FILE": str(file),
                f"{SETTING}START_DATE": piece["start"],
            }
            env.pop(f"{SETTING}END_DATE", None)
            if piece["end"]:
                env[f"{SETTING}END_DATE"] = piece["end"]
            if env.get(f"{SETTING}USER_IDS"):
                env[f"{SETTING}USER_IDS"] = json.dumps([row["user_id"] for row in rows])
            self._run(env, suffix)

    def _run(self, env: Mapping[str, str], suffix: str) -> None:
        log = Log(self._log)
        named = f"--state-id-suffix={suffix}"
        command = self._command("run", "--no-install", "--force", named, TAP, self.loader)
        process = self._process = subprocess.Popen(
            [sys.executable, str(RUN), *command],
            cwd=self._project,
            env=dict(env),
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
                log.take(line)
            process.wait()
        except BaseException:
            process.terminate()  # the rest of it goes on alone, and ends soon
            raise
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what a killed Meltano has left behind
        log.end()
        if process.returncode:
            ended = f"meltano run ended with {process.returncode}"
            raise MeltanoError(f"{suffix}: {log.reason or ended}", passes=log.passes)

    def end(self) -> None:
        """Ask `read` to end, with its last STATE saved; it fails then. Fit for a signal handler."""
        if self._process is not None:
            self._process.terminate()

    def _capture(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> str:
        """What a command writes on stdout; its log goes to `log`."""
        with own_folder(self._project) as own:
            done = subprocess.run(
                self._command(*arguments),
                cwd=self._project,
                env={**(self.env if env is None else env), **own},
                input=stdin,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        log = Log(self._log)
        for line in done.stderr.splitlines():
            log.take(line)
        log.end()
        if done.returncode:
            ended = f"ended with {done.returncode}"
            what = " ".join(("meltano", *arguments[:2]))
            raise MeltanoError(f"{what}: {log.reason or ended}", passes=log.passes)
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        command = text(self.env, "MELTANO", "meltano")
        full = [command, f"--environment={self.environment}", "--log-format=json", *arguments]
        self._log(logging.INFO, "$ " + " ".join(full))
        return full

    @property
    def _project(self) -> Path:
        return Path(text(self.env, "PROJECT") or Path(__file__).parents[3])
