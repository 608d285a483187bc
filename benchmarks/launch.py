"""Runs commands with a clock: a JSON list of commands on stdin, a JSON list of runs on stdout.

A process of its own because a child's peak memory starts at that of the process that it was
forked from: here next to nothing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

LONGEST = 1800.0  # seconds that commands may take


def launch(commands: list[list[str]]) -> list[dict[str, float]]:
    """Run commands, each one's stdout into the next, the last one's to nowhere.

    Raises:
        SystemExit: one failed; its stderr is shown.
    """
    began = time.perf_counter()
    processes: list[subprocess.Popen[bytes]] = []
    logs = [tempfile.TemporaryFile() for _ in commands]  # noqa: SIM115 - as long as we
    source: Any = subprocess.DEVNULL
    for command, log in zip(commands, logs, strict=True):
        last = len(processes) == len(commands) - 1
        stdout = subprocess.DEVNULL if last else subprocess.PIPE
        process = subprocess.Popen(command, stdin=source, stdout=stdout, stderr=log)
        if source is not subprocess.DEVNULL:
            source.close()  # so that a writer notices when its reader is gone
        source = process.stdout
        processes.append(process)
    watchdog = threading.Timer(LONGEST, _end, (processes,))
    watchdog.daemon = True
    watchdog.start()
    runs = []
    for process, command, log in zip(processes, commands, logs, strict=True):
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            _end(processes)
            log.seek(0)
            sys.stderr.write(log.read()[-6000:].decode(errors="replace"))
            raise SystemExit(f"{' '.join(command[:4])} ended with {process.returncode}")
        runs.append(
            {
                "seconds": seconds,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_mb": usage.ru_maxrss / 1024,
            }
        )
    return runs


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    print(json.dumps(launch(json.load(sys.stdin))))
