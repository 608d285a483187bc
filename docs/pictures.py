"""Takes docs/images/report.png of the demo's report, in a headless Chromium.

First `python3 dev.py demo`; then `python3 dev.py pictures`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
REPORT, TARGET = ROOT / "demo/report.html", ROOT / "docs/images/report.png"
SIZE = "1160,740"


def main() -> None:
    """Take the picture.

    Raises:
        SystemExit: there is no report, or no Chromium.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed")
    if not REPORT.exists():
        sys.exit("There is no report yet: run python3 dev.py demo")
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options += [f"--user-data-dir={profile}", f"--window-size={SIZE}"]
        command = [chromium, *options, f"--screenshot={TARGET}", REPORT.as_uri()]
        subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
