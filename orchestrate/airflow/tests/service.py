"""A whole Airflow on loopback, driven by its REST API."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).parents[3]
DAGS = ROOT / "orchestrate" / "airflow" / "dags"
ENVIRONMENT = Path(os.environ.get("AIRFLOW_ENVIRONMENT") or ROOT / ".venv-airflow")
"""Where Airflow is installed; `dev.py airflow` says it."""
COMMAND = ENVIRONMENT / "bin" / "airflow"
JSON = dict[str, Any]


PATIENCE = 1800
"""Seconds, ten times what the longest run takes."""


def wait_for(what: str, ready: Callable[[], Any], blame: Callable[[], str]) -> Any:
    """The first true answer of `ready`.

    Raises:
        AssertionError: not within PATIENCE; ends with what `blame` says.
    """
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := ready():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {PATIENCE} s\n{blame()}")


class Airflow:
    """API server, scheduler with LocalExecutor, and DAG processor.

    Args:
        home: AIRFLOW_HOME, empty.
        database: URI of an empty PostgreSQL database.
        parallelism: Tasks at once.
        env: What the tasks see beside this process's environment.
    """

    def __init__(
        self, home: Path, database: str, *, parallelism: int, env: Mapping[str, str]
    ) -> None:
        self.home = home
        with (
            socket.create_server(("127.0.0.1", 0)) as free,
            socket.create_server(("127.0.0.1", 0)) as other,
        ):
            port, logs = free.getsockname()[1], other.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._token = ""
        self.env = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(parallelism),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__MP_START_METHOD": "fork",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(logs),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **env,
        }

    def command(self, *arguments: str) -> str:
        """Run `airflow ...`.

        Raises:
            AssertionError: it failed.
        """
        done = subprocess.run(
            [str(COMMAND), *arguments], env=self.env, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"airflow {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[Airflow]:
        """Serve until the block ends."""
        self.command("db", "migrate")
        with ExitStack() as stack:
            for service in ("api-server", "scheduler", "dag-processor"):
                out = stack.enter_context((self.home / f"{service}.log").open("w"))
                process = subprocess.Popen(
                    [str(COMMAND), service], env=self.env, stdout=out, stderr=out
                )
                stack.callback(_end, process)
            wait_for("the API server's health", self._healthy, self.services_said)
            yield self

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=60) as answer:
                health = json.load(answer)
        except OSError:
            return False
        parts = ("metadatabase", "scheduler", "dag_processor")
        return all(health[part]["status"] == "healthy" for part in parts)

    def services_said(self) -> str:
        """The last lines of the services' logs."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-3000:]}" for path in self.home.glob("*.log")
        )

    # REST

    def api(self, method: str, path: str, body: JSON | None = None) -> JSON:
        """Call the REST API, `path` as after /api/v2."""
        if not self._token:
            with urllib.request.urlopen(f"{self.url}/auth/token", timeout=30) as answer:
                self._token = json.load(answer)["access_token"]
        request = urllib.request.Request(
            f"{self.url}/api/v2{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: JSON = json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as problem:
            raise AssertionError(f"{method} {path}: {problem} {problem.read()!r}") from None
        return found

    def runs(self, dag: str) -> list[JSON]:
        """The runs of a DAG."""
        found: list[JSON] = self.api("GET", f"/dags/{dag}/dagRuns")["dag_runs"]
        return found

    def tasks(self, dag: str, run: str) -> list[JSON]:
        """The task instances of a run."""
        path = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances?limit=500"
        found: list[JSON] = self.api("GET", path)["task_instances"]
        return found

    def trigger(self, dag: str, conf: JSON, **more: Any) -> str:
        """Start a run; its id."""
        body = {"logical_date": None, "conf": conf, **more}
        return str(self.api("POST", f"/dags/{dag}/dagRuns", body)["dag_run_id"])

    def clear(self, dag: str, run: str, *tasks: str | tuple[str, int]) -> None:
        """Clear tasks of a run, by id or by id and map index; without any the whole run."""
        body: JSON = {"dry_run": False, "only_failed": False, "dag_run_id": run}
        if tasks:
            body["task_ids"] = [task if isinstance(task, str) else [*task] for task in tasks]
            body["include_downstream"] = False
        self.api("POST", f"/dags/{dag}/clearTaskInstances", body)

    def end(self, dag: str, run: str, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Wait for a run's end, calling `meanwhile` over and over; its state."""

        def ended() -> str | None:
            meanwhile()
            state = self.api("GET", f"/dags/{dag}/dagRuns/{quote(run)}")["state"]
            return state if state in ("success", "failed") else None

        return str(wait_for(f"the end of {run}", ended, lambda: self.blame(dag, run)))

    def finish(
        self, dag: str, run: str, meanwhile: Callable[[], object] = lambda: None
    ) -> list[JSON]:
        """Wait for a run's success, calling `meanwhile` over and over; its task instances.

        Raises:
            AssertionError: it failed, or took too long; with the logs of what went wrong.
        """
        state = self.end(dag, run, meanwhile)
        assert state == "success", f"{run} {state}\n{self.blame(dag, run)}"
        return self.tasks(dag, run)

    def log_of(self, dag: str, run: str, task: str) -> str:
        """What the tries of a task have logged, those of all its map indexes."""
        return "\n".join(
            text
            for path, text in sorted(self.logs().items())
            if f"dag_id={dag}/run_id={run}/task_id={task}/" in str(path)
        )

    def logs(self) -> dict[Path, str]:
        """Log file of each try of a task -> its text."""
        files = (self.home / "logs").glob("dag_id=*/**/attempt=*.log")
        return {path: path.read_text() for path in files}

    def blame(self, dag: str, run: str) -> str:
        """The states of a run's tasks, and the ends of the logs of those that are not well."""
        lines = []
        for task in self.tasks(dag, run):
            lines.append(f"{task['task_id']}[{task['map_index']}]: {task['state']}")
            if task["state"] not in ("success", "skipped", None):
                folder = f"task_id={task['task_id']}" + (
                    f"/map_index={task['map_index']}" if task["map_index"] >= 0 else ""
                )
                lines += [
                    f"--- {path.name}\n{text[-4000:]}"
                    for path, text in self.logs().items()
                    if f"run_id={run}/{folder}/attempt" in str(path)
                ]
        return "\n".join([*lines, self.services_said()])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
