"""Runs a program of target-snowflake's environment, or SQL, against fakesnow instead of Snowflake.

    python fakesnow_run.py FOLDER target-snowflake --config CONFIG    a loader; databases in FOLDER
    python fakesnow_run.py FOLDER DATABASE < sql                      JSON rows of one statement

fakesnow 0.12 runs Snowflake's SQL on DuckDB. What the loader says and fakesnow does not know is
put in other words here, so that much is not tested against Snowflake's own way:

- `PUT` to the user's stage (`@~`): put to a named stage instead.
- `MERGE` from a staged file: the file's lines are first copied into a table of one VARIANT column,
  and the loader's own SELECT is made from it, `SEQ8()` read as the line's number.
- `DROP FILE FORMAT`, `REMOVE` of a stage: passed over; nothing is removed.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import fakesnow
import singer_sdk.target_base
import snowflake.connector
from fakesnow.cursor import FakeSnowflakeCursor

STAGED = re.compile(r"'@~/target-snowflake/([^'/]+)/?'")
MERGE = re.compile(
    r"(?P<head>merge into \S+ d using )"
    r"\((?P<select>select .*?)'@~[^']*'\(file_format => (?P<format>.*?)\) (?P<latest>QUALIFY .*?)\)"
    r"(?P<tail> s on .*)",
    re.DOTALL,
)
_execute = FakeSnowflakeCursor.execute


def execute(
    self: FakeSnowflakeCursor, command: str, params: Any = None, *args: Any, **options: Any
) -> FakeSnowflakeCursor:
    """Execute, in fakesnow's words.

    Raises:
        AssertionError: the loader says something of a stage that is not known here.
    """

    def say(words: str) -> FakeSnowflakeCursor:
        return _execute(self, words)

    staged = STAGED.search(command)
    if not staged or command.startswith("remove "):
        return _execute(self, command, params, *args, **options)
    stage = f"@PUBLIC.LOADED/{staged[1]}"
    if command.startswith("put "):
        say("create schema if not exists PUBLIC")
        say("create stage if not exists PUBLIC.LOADED")
        return say(f"put '{params['file_uri']}' {stage}")
    merge = MERGE.fullmatch(command)
    assert merge, command
    say("create or replace table PUBLIC.LINES (LINE variant)")
    say(f"copy into PUBLIC.LINES from {stage}/ file_format = (format_name = '{merge['format']}')")
    select = f"{merge['select']}PUBLIC.LINES {merge['latest']}"
    select = select.replace("$1:", "LINE:").replace("SEQ8()", "rowid")
    say(f"create or replace table PUBLIC.STAGED_ROWS as {select}")
    return say(f"{merge['head']}PUBLIC.STAGED_ROWS{merge['tail']}")


def main() -> None:
    """Run the program or the SQL."""
    folder, *command = sys.argv[1:]
    FakeSnowflakeCursor.execute = execute
    passed_over = [r"\s*remove\b", r"\s*drop file format\b"]
    # The loader writes several tables side by side, on a session each; here they share one.
    singer_sdk.target_base._MAX_PARALLELISM = 1  # type: ignore[attr-defined]
    with fakesnow.patch(db_path=folder, nop_regexes=passed_over):
        if len(command) > 1:
            sys.argv = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
            runpy.run_path(sys.argv[0], run_name="__main__")
            return
        connection = snowflake.connector.connect(database=command[0])
        cursor = connection.cursor(snowflake.connector.DictCursor)
        rows = cursor.execute(sys.stdin.read()).fetchall()
        json.dump(
            [{name.lower(): row[name] for name in row} for row in rows], sys.stdout, default=str
        )


if __name__ == "__main__":
    main()
