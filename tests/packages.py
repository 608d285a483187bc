"""The packages as their users install them, on every Python, down to the oldest dependencies.

python3 dev.py package     builds sdist and wheel, checks them, installs the wheel with pipx and
                           with uv tool, runs each against the sandbox; lints the workflows
python3 dev.py pythons     an environment per Python of 3.10 to 3.14 found here, and PART in each;
                           `pythons 3.14` only that one, which must be here
python3 dev.py minimums    the oldest Python with the oldest versions that pyproject.toml allows of
                           what the tap needs, and PART; with --half its quick tests, which the
                           gate has
python3 dev.py next        the newest pre-release of singer-sdk, whatever pyproject.toml allows, and
                           PART: whether the bound can move once it is out

PART is the suite without what needs Meltano, PostgreSQL or minutes: see `PART` below. Runs in
`.venv-packaging`, which holds the tools; makes `.venv-3.x`, `.venv-minimums` and `.venv-next`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sandbox import Sandbox

ROOT = Path(__file__).parent.parent
MINORS = range(10, 15)
PART = [
    "tests/api/test_client.py",
    *(f"tests/config/test_{name}.py" for name in ("filters", "schema")),
    "tests/sessions/test_zones.py",
    *(f"tests/sessions/records/test_{name}.py" for name in ("decoder", "tables")),
    *(f"tests/sessions/windows/test_{name}.py" for name in ("windows", "reader")),
    "tests/sessions/bookmarks/test_bookmarks.py",
    *(f"tests/singer/test_{name}.py" for name in ("state", "sdk_standard", "lanes", "tap")),
    # These take minutes and meet nothing of Python or of a dependency that the others do not.
    "--deselect=tests/singer/test_lanes.py::"
    "test_both_lanes_and_the_files_are_equal_over_random_data_and_selections",
    "--deselect=tests/sessions/windows/test_reader.py::test_requests_stay_near_the_least_possible",
    "--deselect=tests/singer/test_tap.py::test_150_000_in_two_days_take_at_most_24_requests",
    "--deselect=tests/singer/test_tap.py::test_a_second_of_110_500_is_an_error_that_names_it",
    "--deselect=tests/singer/test_tap.py::test_errors_name_the_fix_within_a_minute_and_no_secret",
]


def tool(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).with_name(name))


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a command in the checkout; its stdout.

    Raises:
        SystemExit: it failed; it has said why on stderr, and its stdout follows.
    """
    print("$", *(Path(c).name if Path(str(c)).is_absolute() else c for c in command), flush=True)
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nfailed with exit code {done.returncode}")
    return done.stdout


def pythons() -> dict[str, str]:
    """The interpreters found here: version such as "3.12" -> path. On PATH, or kept by pyenv."""
    found = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for minor in MINORS:
        name = f"python3.{minor}"
        candidates = [shutil.which(name), *map(str, pyenv.glob(f"3.{minor}.*/bin/python"))]
        for path in filter(None, candidates):
            # A shim of pyenv may stand for a version that is not switched on.
            works = subprocess.run([path, "-c", "import venv"], capture_output=True)
            if works.returncode == 0:
                found[f"3.{minor}"] = path
                break
    return found


def outcome(
    name: str,
    python: str,
    *options: str,
    then: Sequence[str] = (),
    tests: Sequence[str] = (),
) -> str:
    """An environment of `python` with the tap and the tests' tools, and what `PART` said in it.

    Args:
        options: Of the installation.
        then: Of a second one, which changes what the first has made.
        tests: Of pytest.
    """
    folder = ROOT / f".venv-{name}"
    uv = tool("uv")
    run(uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", python, folder)
    within = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [uv, "pip", "install", "--quiet", "--python", str(within)]
    run(*install, "--editable", ".[parquet]", "--group", "test", *options)
    if then:
        run(*install, "--editable", ".[parquet]", *then)
    # What a random search finds is no matter of the Python or of a dependency.
    few = {"TESTS_SEARCH": "short"}
    output = run(
        within, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *PART, *tests, env=few
    )
    return output.strip().splitlines()[-1]


def every_python(*wanted: str) -> None:
    """`PART` on each Python that is here, or on those wanted.

    Raises:
        SystemExit: a test fails, or a Python that is wanted is not here.
    """
    found = {v: path for v, path in pythons().items() if not wanted or v in wanted}
    if not found or set(wanted) - set(found):
        raise SystemExit(f"not here: Python {', '.join(wanted) or '3.10 to 3.14'}")
    results = {}
    for version, path in found.items():
        results[version] = outcome(version, path)
        print(f"==> Python {version}: {results[version]}", flush=True)
    for version, result in results.items():
        print(f"Python {version}: {result}")
    missing = [f"3.{minor}" for minor in MINORS if f"3.{minor}" not in found]
    if missing and not wanted:
        print(f"Not here, so not tested: {', '.join(missing)}")


def minimums(*tests: str) -> None:
    """`PART` with the oldest direct dependencies, on the oldest Python that is here."""
    version, path = next(iter(pythons().items()))
    with tempfile.TemporaryDirectory() as folder:
        lowest = Path(folder, "lowest.txt")
        run(
            *(tool("uv"), "pip", "compile", "--quiet", "--no-header", "--no-annotate"),
            *("--python", path, "--resolution", "lowest-direct", "--extra", "parquet"),
            *("--output-file", lowest, "pyproject.toml"),
        )
        wanted = re.findall(r'^  "([a-z-]+)', _dependencies(), re.MULTILINE)
        pins = dict(re.findall(r"^([a-z-]+)==(\S+)", lowest.read_text(), re.MULTILINE))
        result = outcome("minimums", path, "--constraints", str(lowest), tests=tests)
    print("Oldest: " + ", ".join(f"{name} {pins[name]}" for name in wanted))
    print(f"Python {version}: {result}")


def coming() -> None:
    """`PART` with the newest singer-sdk, pre-releases too; of all else, what is released."""
    with tempfile.TemporaryDirectory() as folder:
        override = Path(folder, "override.txt")
        override.write_text("singer-sdk\n")  # without the bound
        newest = ("--upgrade-package", "singer-sdk", "--prerelease", "allow")
        result = outcome("next", sys.executable, then=("--override", str(override), *newest))
    within = ROOT / ".venv-next" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = "from importlib.metadata import version; print(version('singer-sdk'))"
    print(f"singer-sdk {run(within, '-c', code).strip()}: {result}")


def _dependencies() -> str:
    """The list `dependencies` of pyproject.toml, as text: Python 3.10 has no tomllib."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.split("\ndependencies = [")[1].split("\n]")[0]


def package() -> None:
    """Build, check, install in two ways and run."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(tool("pyproject-build"), "--outdir", folder / "dist", ".")  # the wheel from the sdist
        files = sorted((folder / "dist").iterdir())
        print(run(tool("twine"), "check", "--strict", *files))
        [wheel] = (path for path in files if path.suffix == ".whl")
        uv = {"UV_TOOL_DIR": f"{folder}/uv", "UV_TOOL_BIN_DIR": f"{folder}/uv-bin"}
        run(tool("uv"), "tool", "install", "--quiet", "--python", sys.executable, wheel, env=uv)
        works(folder / "uv-bin/tap-visitor-sessions", folder)
        pipx = {"PIPX_HOME": f"{folder}/pipx", "PIPX_BIN_DIR": f"{folder}/pipx-bin"}
        run(tool("pipx"), "install", "--python", sys.executable, wheel, env=pipx)
        works(folder / "pipx-bin/tap-visitor-sessions", folder)
    lint()
    print(f"All well after {time.monotonic() - began:.0f} s")


def lint() -> None:
    """The workflows and the issue forms."""
    github = ROOT / ".github"
    run(tool("zizmor"), "--offline", "--quiet", ".github")
    forms = github / "ISSUE_TEMPLATE"
    for schema, files in {
        "github-workflows": sorted((github / "workflows").glob("*.yml")),
        "github-issue-forms": [forms / f"{name}.yml" for name in ("bug", "feature", "live")],
        "github-issue-config": [forms / "config.yml"],
    }.items():
        run(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *files)


def works(executable: Path, folder: Path) -> None:
    """An installed tap tells its version and reads every session of a sandbox.

    Raises:
        SystemExit: it does not.
    """
    print(run(executable, "--version").strip())
    with Sandbox(sessions=500).running() as sandbox:
        config = {
            "api_url": sandbox.url,
            "access_token": sandbox.token,
            "start_date": "2024-05-01",
            "end_date": "2024-06-01",
        }
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        records = run(executable, "--config", path).count('"type":"RECORD"')
    print(f"{records} records")
    if records != 500:
        raise SystemExit("500 were expected")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["package"]:
            package()
        case ["pythons", *wanted]:
            every_python(*wanted)
        case ["minimums"]:
            minimums()
        case ["minimums", "--half"]:
            minimums("-m", "quick and not slow")
        case ["next"]:
            coming()
        case _:
            raise SystemExit(__doc__)
