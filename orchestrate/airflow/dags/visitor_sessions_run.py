"""`python visitor_sessions_run.py meltano run ...`: Meltano, ended in a way that loses nothing.

A signal to Meltano ends tap and loader at once, and the loader's last STATE is lost (Meltano
4.4). A signal to the tap makes it write a last STATE; the loader stores all up to it, confirms
it, and Meltano saves it. So SIGTERM to this process is passed to the tap. It also comes when the
parent is gone, by kill -9 too: what uses the account's points must not outlive its task.

Runs of one project at the same time read each other's catalog and STATE (Meltano 4.4 has one
`.meltano/run/PLUGIN/state.json`), so each gets a folder of its own in the place of `.meltano`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import psutil

TAP = "tap-visitor-sessions"
SYSTEM_FOLDER = "MELTANO_SYS_DIR_ROOT"
GRACE = 90
"""Seconds from the signal to the end of all."""
PR_SET_PDEATHSIG = 1


@contextmanager
def own_folder(project: Path) -> Iterator[dict[str, str]]:
    """What to set for a Meltano with a system folder of its own, the plugins shared; the
    folder goes with the block, and with it the configuration that Meltano wrote there."""
    shared = Path(os.environ.get(SYSTEM_FOLDER, project / ".meltano")).resolve()
    with TemporaryDirectory(prefix="meltano-", ignore_cleanup_errors=True) as folder:
        for kind in ("extractors", "loaders", "mappers", "utilities"):
            if (shared / kind).exists():
                (Path(folder) / kind).symlink_to(shared / kind)
        yield {SYSTEM_FOLDER: folder}


def tap_under(process_id: int) -> psutil.Process | None:
    """The tap that a Meltano has started, if there is one now."""
    with suppress(psutil.Error):
        for process in psutil.Process(process_id).children(recursive=True):
            with suppress(psutil.Error):
                if any(Path(word).name == TAP for word in process.cmdline()[:2]):
                    return process
    return None


def main() -> int:
    """Run the command; its exit code, 128 + the signal's number if one has killed it."""
    meltano: subprocess.Popen[bytes] | None = None
    ending = False

    def end(signum: int = 0, frame: FrameType | None = None) -> None:
        nonlocal ending
        ending = True
        if meltano is not None:
            signal.alarm(GRACE)
            with suppress(psutil.Error):
                (tap_under(meltano.pid) or psutil.Process(meltano.pid)).terminate()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    with own_folder(Path.cwd()) as env:
        meltano = subprocess.Popen(
            sys.argv[1:],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if ending or os.getppid() != parent:
            end()
        assert meltano.stdout is not None
        for line in meltano.stdout:
            with suppress(BrokenPipeError):  # nobody listens any more: Meltano must not care
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
        code = meltano.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    code = main()
    with suppress(BrokenPipeError):
        sys.stdout.close()
    os._exit(code)
