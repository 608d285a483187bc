"""The site looked at in a real browser: `python3 dev.py docs --check`; the gate looks at a few
pages on two screens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CONTRAST, WIDTHS, chromium, cut_off, installed, show
from support import ROOT

LEFT_OUT = {"genindex", "py-modindex", "search"}
"""Made by Sphinx."""
WHOLE = os.environ.get("BROWSER_CHECK") == "required"
FEW = {"index", "settings", "columns", "loaders", "benchmarks", "production"}
SCREENS = [(width, dark) for width in WIDTHS for dark in (False, True)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    installed()
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


@pytest.mark.parametrize(("width", "dark"), SCREENS if WHOLE else [SCREENS[0], SCREENS[-1]])
def test_nothing_is_cut_off(width: int, dark: bool, browser: Any, site: Path) -> None:
    pages = [path for path in sorted(site.glob("*.html")) if path.stem not in LEFT_OUT]
    assert len(pages) > 20
    pages = [path for path in pages if WHOLE or path.stem in FEW]
    browser.get_log("performance")
    found = {}
    for page in pages:
        show(browser, page.as_uri(), width, dark=dark)
        browser.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
        if cut := cut_off(browser, width):
            found[page.stem] = cut[:5]
        assert browser.execute_script(TEXT_CONTRAST) >= 4.5, page.stem
        assert browser.find_elements("css selector", ".sidebar-logo")
    assert found == {}
    # Nothing is fetched from elsewhere: the pages are whole offline.
    messages = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    assert not [url for url in asked if url.startswith("http")]


def test_what_is_cut_off_would_be_found(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    wide = "x" * 400
    page.write_text(
        f"<meta charset=utf-8><div style='overflow-x:auto'><table><tr><td>{wide}</table></div>"
        f"<pre style='overflow-x:auto'>{wide}</pre><pre style='overflow:hidden'>{wide}</pre>"
        "<p>fits</p>"
    )
    show(browser, page.as_uri(), 1440, dark=False)
    kinds = [one.split()[0] + " " + one.split()[1] for one in cut_off(browser, 1440)]
    assert "table TABLE" in kinds
    assert kinds.count("inside PRE") == 1
    show(browser, page.as_uri(), 390, dark=False)
    assert [one.split()[1] for one in cut_off(browser, 390)].count("PRE") == 2


TEXT_CONTRAST = f"""
{CONTRAST}
const back = light(getComputedStyle(document.body).backgroundColor);
const texts = document.querySelectorAll('article p, article li, article h1, article h2');
return Math.min(99, ...[...texts].map(e => ratio(light(getComputedStyle(e).color), back)));
"""
