"""A dbt project of a user's own, that takes the package from git, and what it has built."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lanes import ANSWERS, Lane
from support import ROOT

HOME = ROOT / ".venv-transform"
PREFIX = "visitor_sessions"
OFFLINE = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_VERSION_CHECK": "false",
    "DO_NOT_TRACK": "1",
}


def repository(folder: Path) -> Path:
    """A clone of this checkout, with what is not committed yet: whoever installs the package gets
    what git has of it."""
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.com", "-C", str(folder)]
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    shutil.rmtree(folder / "transform", ignore_errors=True)
    leave = shutil.ignore_patterns("target", "logs", "dbt_packages")
    shutil.copytree(ROOT / "transform", folder / "transform", ignore=leave)
    subprocess.run([*git, "add", "--all", "transform"], check=True)
    # dbt takes HEAD for a branch: a checkout of a commit alone has none.
    subprocess.run([*git, "checkout", "--quiet", "-B", "main"], check=True)
    commit = ["commit", "--quiet", "--allow-empty", "-m", "As it stands"]
    subprocess.run([*git, *commit], check=True)
    return folder


class Project:
    """`packages.yml` with the git address, a profile, and the vars of a lane; or the package
    `itself` as a project, since dbt runs its unit tests there alone."""

    def __init__(
        self, folder: Path, origin: Path, lane: Lane, *, itself: bool = False, **more: Any
    ) -> None:
        self.folder, self.lane, self.database = folder, lane, lane.database
        self.vars = {f"{PREFIX}_schema": lane.schema}
        self.vars |= {f"{PREFIX}_{name}": value for name, value in more.items()}
        schemas = {"dev": ANSWERS, "anew": f"{ANSWERS}_anew"}
        outputs = {name: self.database.target(schema) for name, schema in schemas.items()}
        profile = {"target": "dev", "outputs": outputs}
        if itself:
            shutil.copytree(origin / "transform", folder)
            self._write("profiles.yml", {PREFIX: profile})
            self._said = ["--vars", json.dumps(self.vars)]
            return
        folder.mkdir(parents=True)
        self._said = []
        package = {"git": f"file://{origin}", "subdirectory": "transform", "revision": "HEAD"}
        self._write("packages.yml", {"packages": [package]})
        self._write(
            "dbt_project.yml",
            {
                "name": "own",
                "version": "1.0.0",
                "profile": "own",
                "flags": {"send_anonymous_usage_stats": False},
                "vars": self.vars,
            },
        )
        self._write("profiles.yml", {"own": profile})
        self.dbt("deps")

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def run(self, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """A command of dbt; `more` are vars."""
        given = {f"{PREFIX}_{name}": value for name, value in more.items()}
        options = ["--vars", json.dumps({**self.vars, **given})] if given else self._said
        return subprocess.run(
            [str(HOME / "bin/dbt"), "--no-use-colors", *command, *options],
            cwd=self.folder,
            env={**os.environ, **OFFLINE},
            capture_output=True,
            text=True,
        )

    def dbt(self, *command: str, **more: Any) -> str:
        """One that must succeed, without a warning: what it said."""
        done = self.run(*command, **more)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-8000:]
        return said

    def build(self, *options: str, **more: Any) -> str:
        """Models and their tests."""
        return self.dbt("build", *options, **more)

    def mart(self, name: str, schema: str = ANSWERS) -> list[dict[str, Any]]:
        """The rows of a mart."""
        return self.database.query(f"SELECT * FROM {schema}.{PREFIX}__{name}")

    def marts(self) -> Sequence[str]:
        """The names of all marts."""
        found = self.database.query(
            "SELECT table_name AS name FROM information_schema.tables "
            f"WHERE table_schema = '{ANSWERS}' AND table_name LIKE '{PREFIX}\\_\\_%' ESCAPE '\\'"
        )
        return sorted(row["name"].removeprefix(f"{PREFIX}__") for row in found)

    def differences(self, name: str, leave: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Rows of a mart that only the increments made, or only the full refresh."""
        columns = self._columns(name, leave)
        here, anew = (f"{schema}.{PREFIX}__{name}" for schema in (ANSWERS, f"{ANSWERS}_anew"))
        return self.database.query(
            f"(SELECT 'increment' AS of, {columns} FROM {here} EXCEPT "
            f"SELECT 'increment' AS of, {columns} FROM {anew}) UNION ALL "
            f"(SELECT 'full' AS of, {columns} FROM {anew} EXCEPT "
            f"SELECT 'full' AS of, {columns} FROM {here})"
        )

    def _columns(self, name: str, leave: Sequence[str]) -> str:
        found = self.database.query(
            "SELECT column_name AS name, data_type AS kind FROM information_schema.columns "
            f"WHERE table_schema = '{ANSWERS}' AND table_name = '{PREFIX}__{name}' "
            "ORDER BY ordinal_position"
        )
        # Sums of the same numbers in another order.
        rounded = 'round(CAST("{0}" AS numeric(38, 9)), 9) AS "{0}"'
        return ", ".join(
            rounded.format(row["name"])
            if row["kind"].lower().startswith("double")
            else f'"{row["name"]}"'
            for row in found
            if row["name"] not in leave
        )
