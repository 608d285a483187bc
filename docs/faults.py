"""Writes docs/faults.md: every fault that the tests inject, how often, and what was lost.

python -m docs.faults          runs the tests that inject faults, and writes the table
python -m docs.faults FILE     writes it from what pytest's --faults-json left in FILE
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from docs.figures import spaced

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).parent / "faults.md"
KINDS = {
    "Model": "Random sessions, settings, moods of the API, movements of the data and cuts of runs, "
    "in random sequences. A target that keeps what came before the last STATE it saw ends up "
    "complete.",
    "Kills": "Real processes, ended from outside; the next run goes on from the last STATE that a "
    "reader of the pipe got.",
    "Partner": "An agency's account: customers that are locked, vanish or fail, and runs killed "
    "among many.",
    "Airbyte": "The same promise through the Airbyte source.",
    "Transport": "What networks, gateways and proxies do to an answer.",
    "Limits": "Points used up, alone and with other processes on the same account.",
    "Data in motion": "Rows that come, change and go while a window is read.",
    "Time": "Changes of the clock, ends of months.",
    "Content": "Values that no schema foresees. Nothing is given up without one warning that says "
    "what.",
    "Secrets": "All output at debug level, searched for every secret: plain, escaped, base64.",
}
HEAD = """# Faults

What the tests inject, how often, and what was lost. Written by `python3 dev.py faults`: every
number comes from that run of the tests. A row's test fails when its fault was not injected, when a
session is lost, or when a run that cannot recover ends without a clear error. "recovers" means
complete and exit code 0, "error" one line that tells the fix and exit code 1.
"""


def table(rows: list[dict[str, Any]]) -> str:
    """The page, from the rows that the fixture `tally` noted."""
    kinds: dict[str, dict[tuple[str, str, str], list[int]]] = defaultdict(dict)
    for row in rows:
        test = row["test"].removeprefix("tests/").replace("::", " :: ")
        key = (row["fault"], row["ends"], test)
        sums = kinds[row["kind"]].setdefault(key, [0, 0])
        sums[0] += row["injected"]
        sums[1] += row["lost"]
    injected = sum(row["injected"] for row in rows)
    faults = sum(map(len, kinds.values()))
    lost = sum(row["lost"] for row in rows)
    lines = [
        HEAD,
        f"In all: {faults} faults, injected {spaced(injected)} times, {lost} sessions lost.",
    ]
    ordered = sorted(kinds, key=[*KINDS, *sorted(kinds)].index)
    lines += ["", "| kind | faults | injected | sessions lost |", "| --- | --: | --: | --: |"]
    for kind in ordered:
        sums = [sum(column) for column in zip(*kinds[kind].values(), strict=True)]
        cells = [str(len(kinds[kind])), *map(spaced, sums)]
        lines.append(f"| [{kind}](#{kind.lower().replace(' ', '-')}) | " + " | ".join(cells) + " |")
    for kind in ordered:
        lines += ["", f"## {kind}", "", KINDS.get(kind, ""), ""]
        lines += ["<details>", f"<summary>{len(kinds[kind])} faults</summary>", ""]
        lines += ["| fault | injected | lost | the run | test |", "| --- | --: | --: | --- | --- |"]
        for (fault, ends, test), (count, gone) in sorted(kinds[kind].items()):
            lines.append(
                f"| {fault.replace('|', chr(92) + '|')} | {count} | {gone} | {ends} | `{test}` |"
            )
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the tests, unless their result is given, and write the page."""
    if sys.argv[1:]:
        found = Path(sys.argv[1])
    else:
        found = Path(tempfile.mkdtemp()) / "faults.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "auto",
            "--dist",
            "worksteal",
            f"--faults-json={found}",
        ]
        environment = {**os.environ, "TESTS_SEARCH": "long"}
        if code := subprocess.run(command, cwd=ROOT, env=environment).returncode:
            sys.exit(code)
    PAGE.write_text(table(json.loads(found.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
