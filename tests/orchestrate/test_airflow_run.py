"""How a task of the Airflow DAGs runs Meltano and ends it. Without Airflow and Meltano."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support import ROOT

RUN = ROOT / "orchestrate" / "airflow" / "dags" / "visitor_sessions_run.py"
# Fakes. The tap notes the signal that ends it; Meltano notes its system folder, and fails as the
# tap does. A signal to Meltano itself would end it at once.
TAP = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open("signal", "w").write("TERM"), sys.exit(143)))
open("ready", "w").close()
time.sleep(60)
"""
MELTANO = """
import os, pathlib, subprocess, sys
folder = pathlib.Path(os.environ["MELTANO_SYS_DIR_ROOT"])
pathlib.Path("folder").write_text(f"{folder} {(folder / 'loaders').resolve()}")
print("running", flush=True)
code = subprocess.call([sys.executable, "tap-visitor-sessions"])
print("tap ended with", code, flush=True)
pathlib.Path("saved").touch()
sys.exit(code and 1)
"""


def wait_for(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, f"no {path.name}"
        time.sleep(0.02)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tap-visitor-sessions").write_text(TAP)
    (tmp_path / "meltano").write_text(MELTANO)
    (tmp_path / ".meltano" / "loaders").mkdir(parents=True)
    return tmp_path


def test_a_signal_goes_to_the_tap_and_meltano_may_finish(project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(RUN), sys.executable, "meltano"],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(project / "ready")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert out == "running\ntap ended with 143\n"
    assert (project / "signal").read_text() == "TERM"
    own, loaders = (project / "folder").read_text().split()
    assert Path(loaders) == project / ".meltano" / "loaders"
    assert Path(own) != project / ".meltano"
    assert not Path(own).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")
def test_kill_9_of_the_parent_ends_all_in_the_same_way(project: Path) -> None:
    task = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys\n"
            "p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, start_new_session=True)\n"
            "[print(line) for line in p.stdout]",
            *(sys.executable, str(RUN), sys.executable, "meltano"),
        ],
        cwd=project,
        stdout=subprocess.DEVNULL,
    )
    wait_for(project / "ready")
    family = psutil.Process(task.pid).children(recursive=True)
    assert len(family) == 3
    task.kill()
    task.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert (project / "signal").read_text() == "TERM"
    assert (project / "saved").exists()  # though nobody read what Meltano printed


def test_the_exit_code_is_passed_on(project: Path) -> None:
    (project / "tap-visitor-sessions").write_text("")
    command = [sys.executable, str(RUN), sys.executable, "meltano"]
    assert subprocess.run(command, cwd=project, timeout=20, capture_output=True).returncode == 0
    (project / "meltano").write_text("import os; os.kill(os.getpid(), 9)")
    assert subprocess.run(command, cwd=project, timeout=20, capture_output=True).returncode == 137
