"""Would the tests notice? `python3 dev.py mutants [MODULE or PACKAGE ...]`.

A mutant is a module with one small change. The quick tests of the module's package, those not
marked `slow`, run over each; one that they let pass has survived. It gets a test, or a line in
tests/mutants.yml that says why nobody could tell, or need not. `mutmut` makes and runs them; it
changes neither decorated functions (properties, context managers) nor what stands outside of
functions.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PACKAGE = "tap_visitor_sessions"
WORK = ROOT / ".mutants"
SURVIVORS = ROOT / "tests/mutants.yml"
TESTS: Mapping[str, tuple[str, ...]] = {
    "sessions/windows/windows": ("sessions/windows/test_windows.py",),
    "sessions/zones": ("sessions/test_zones.py",),
    "sessions/bookmarks/bookmarks": ("sessions/bookmarks/test_bookmarks.py",),
    "sessions/bookmarks/state": ("sessions/bookmarks/test_saved_state.py", "singer/test_state.py"),
    "sessions/bookmarks/positions": ("sessions/bookmarks/test_positions.py",),
    "sessions/accounts/account": ("sessions/accounts/test_account.py",),
    "sessions/accounts/failures": ("sessions/accounts/test_failures.py",),
    "sessions/output": ("sessions/test_output.py",),
    "singer/state": ("singer/test_state.py",),
    "sessions/windows/reader": (
        "sessions/windows/test_reader_steps.py",
        "sessions/windows/test_reader.py",
        "promise/test_motion.py",
    ),
    "sessions/records/decoder": (
        "sessions/records/test_coercion.py",
        "sessions/records/test_decoder.py",
        "sessions/records/test_odd_values.py",
    ),
    "sessions/records/coercion": (
        "sessions/records/test_coercion.py",
        "sessions/records/test_decoder.py",
        "sessions/records/test_odd_values.py",
    ),
    "sessions/extraction": ("sessions/test_extraction.py", "sessions/test_progress.py"),
    "api/envelope": ("api/test_envelope.py", "api/test_client.py"),
    "api/limits": ("api/test_limits_steps.py", "api/test_limits.py"),
    "sessions/windows/pipeline": (
        "sessions/windows/test_pipeline_steps.py",
        "sessions/windows/test_pipeline.py",
        "sessions/windows/test_reader.py",
    ),
}
"""The quick tests of each module."""
STRICT = {
    *(f"sessions/windows/{name}" for name in ("windows", "reader", "pipeline")),
    *(f"sessions/bookmarks/{name}" for name in ("bookmarks", "state", "positions")),
    "sessions/zones",
    "singer/state",
}
"""Modules of which no survivor may stay without a word; of the others a tenth may."""
ENOUGH = 0.9
PROCESSES = "2"
KILLED, TIMEOUT = (1, 3), (-24, 24, 36, 152, 255)
CONFIG = """
[mutmut]
source_paths={package}/
only_mutate={package}/{module}.py
also_copy=
    sandbox
    schemas
pytest_add_cli_args_test_selection=
    {tests}
pytest_add_cli_args=
    -m
    not slow
    -p
    no:cacheprovider
process_isolation=forkserver
use_git_change_detection=false
# A mutant that has not ended after the time of its tests and so many seconds loops.
timeout_multiplier=1.0
timeout_constant=15.0
"""


@dataclass(frozen=True)
class Change:
    """What a mutant is: the lines of a function before and after, each without its indentation."""

    function: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"  {self.function}\n    - {self.was}\n    + {self.now}"


@dataclass
class Outcome:
    """What became of a module's mutants."""

    module: str
    killed: list[Change]
    survived: list[Change]
    looping: list[Change]
    explained: Mapping[Change, str]

    @property
    def unexplained(self) -> list[Change]:
        return [change for change in self.survived if change not in self.explained]

    @property
    def gone(self) -> list[Change]:
        """Explained, though no survivor any more."""
        return [change for change in self.explained if change not in self.survived]

    @property
    def is_enough(self) -> bool:
        whole = len(self.killed) + len(self.survived)
        enough = not self.unexplained or len(self.killed) >= ENOUGH * whole
        return enough and not self.gone and not (self.unexplained and self.module in STRICT)

    def row(self) -> str:
        """A line of the table."""
        killed, survived = len(self.killed), len(self.survived)
        whole = killed + survived
        explained = survived - len(self.unexplained)
        share = f"{100 * killed // max(whole, 1)} %"
        return f"| `{self.module}` | {whole} | {killed} | {share} | {survived} | {explained} |"


HEAD = (
    "| module | mutants | killed | | survived | explained |\n| --- | --: | --: | --: | --: | --: |"
)


def survivors() -> dict[str, dict[Change, str]]:
    """The mutants that may survive, by module, each with the reason."""
    read = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or {}
    return {
        module: {
            Change(function, one["was"], now): one["why"]
            for function, ones in functions.items()
            for one in ones
            for now in (one["now"] if isinstance(one["now"], list) else [one["now"]])
        }
        for module, functions in read.items()
    }


def functions_of(source: str) -> Iterator[tuple[str, str]]:
    """Names (`Class.method`) and texts of the functions of a module, nested ones within theirs."""
    for node in ast.parse(source).body:
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, ast.FunctionDef):
                name = f"{node.name}.{one.name}" if isinstance(node, ast.ClassDef) else one.name
                yield name, ast.get_source_segment(source, one) or ""


def lines_of(function: str) -> list[str]:
    """Its lines as `Change` holds them, whatever the function is called."""
    lines = [line.strip() for line in function.splitlines()]
    return ["def " + lines[0].partition("(")[2], *lines[1:]]


def changes(mutated: str) -> dict[str, Change]:
    """The mutants in a file that mutmut has written, by name."""
    texts = {name.rpartition(".")[2]: text for name, text in functions_of(mutated)}
    found = {}
    for name, text in texts.items():
        stem, mark, number = name.rpartition("__mutmut_")
        if not mark or number == "orig":
            continue
        before, after = lines_of(texts[f"{stem}__mutmut_orig"]), lines_of(text)
        parts = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        was = [line for kind, a, b, *_ in parts if kind != "equal" for line in before[a:b]]
        now = [line for kind, _, _, a, b in parts if kind != "equal" for line in after[a:b]]
        function = ".".join(stem.split("ǁ")[1:]) or stem.removeprefix("x_")
        found[name] = Change(function, " ".join(was), " ".join(now))
    return found


def measured(module: str) -> Outcome:
    """Make and run the mutants of a module.

    Raises:
        SystemExit: its tests fail as they are.
    """
    work = WORK / module.replace("/", "-")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in (PACKAGE, "tests", "sandbox", "schemas"):
        shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", work)
    tests = "\n    ".join(f"tests/{test}" for test in TESTS[module])
    config = CONFIG.format(package=PACKAGE, module=module, tests=tests)
    (work / "setup.cfg").write_text(config)
    mutmut = str(Path(sys.executable).with_name("mutmut"))
    with (work / "log").open("w") as log:
        done = subprocess.run(
            [mutmut, "run", "--max-children", PROCESSES],
            cwd=work,
            env={**os.environ, "TESTS_PROFILE": "mutants"},
            stdout=log,
            stderr=log,
        )
    mutants = work / "mutants" / PACKAGE
    meta = mutants / f"{module}.py.meta"
    if done.returncode or not meta.exists():
        sys.exit(f"{module}: mutmut ended with {done.returncode}; {work / 'log'} says why")
    codes = json.loads(meta.read_text())["exit_code_by_key"]
    all_ = changes((mutants / f"{module}.py").read_text(encoding="utf-8"))
    by_code = [(code, all_[name.rpartition(".")[2]]) for name, code in codes.items()]
    return Outcome(
        module,
        [change for code, change in by_code if code in KILLED + TIMEOUT],
        [change for code, change in by_code if code not in KILLED + TIMEOUT],
        [change for code, change in by_code if code in TIMEOUT],
        survivors().get(module, {}),
    )


def main(wanted: list[str]) -> None:
    """Measure the modules wanted, all by default, and say what is missing."""
    names = [name.removesuffix(".py").removeprefix(f"{PACKAGE}/") for name in wanted]
    chosen = [m for m in TESTS if not names or any(n in (m, *m.split("/")) for n in names)]
    if not chosen:
        sys.exit(f"No module of {', '.join(TESTS)} is called so")
    outcomes = []
    for module in chosen:
        outcome = measured(module)
        outcomes.append(outcome)
        print(module, flush=True)
        notable = {
            "ran out of time, so killed": outcome.looping,
            "survived": outcome.unexplained,
            "explained, and no survivor": outcome.gone,
        }
        for title, ones in notable.items():
            for change in ones:
                print(f"  {title}: {change}", flush=True)
    print("\n".join([HEAD, *(outcome.row() for outcome in outcomes)]))
    if short := [outcome.module for outcome in outcomes if not outcome.is_enough]:
        sys.exit(f"A test, or a line in tests/mutants.yml, is missing: {', '.join(short)}")


if __name__ == "__main__":
    main(sys.argv[1:])
