"""The report looked at in a real browser: `python3 dev.py report --check`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import CONTRAST, chromium, cut_off, show
from postgresql import running_postgresql
from report_support import HOSTILE, load

from report.__main__ import main
from sandbox import make_sessions

CARDS = 5
SCREENS = [(390, False), (390, True), (768, False), (1440, False), (1440, True)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 5 000 sessions, some of a hostile campaign."""
    folder = tmp_path_factory.mktemp("report")
    with running_postgresql() as uri:
        rows = make_sessions(5000, seed=5)
        for number, row in enumerate(rows[:600]):
            row.update(campaign_name=HOSTILE[number % len(HOSTILE)], engine="google.adwords")
        load(uri, "demo.visitor_sessions", rows)
        output = folder / "report.html"
        arguments = ["--timezone", "Europe/Moscow", "--account", "Acme", f"--output={output}"]
        main(["--database", uri, *arguments])
    return output


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


def boxes(browser: Any, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect())",
        selector,
    )
    return found


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_the_page_is_whole_readable_and_quiet(
    width: int, dark: bool, browser: Any, report: Path
) -> None:
    def run(script: str) -> Any:
        return browser.execute_script("return " + script.strip())

    browser.get_log("performance")  # what came before
    show(browser, report.as_uri(), width, dark=dark)
    assert browser.title.startswith("Visitor sessions of Acme · 1 May to ")
    assert "Europe/Moscow" in browser.find_element("tag name", "header").text
    assert cut_off(browser, width) == []
    # An even grid: cards in whole rows, each as wide as the others of its row.
    rows: dict[float, list[dict[str, float]]] = {}
    for box in boxes(browser, ".cards > .card"):
        rows.setdefault(box["top"], []).append(box)
    assert sum(map(len, rows.values())) == CARDS
    right = {round(max(box["right"] for box in row)) for row in rows.values()}
    left = {round(min(box["left"] for box in row)) for row in rows.values()}
    assert len(right) == len(left) == 1
    assert all(len({round(box["width"]) for box in row}) == 1 for row in rows.values())
    # Labels are large enough to read, stay within their cards and meet no other.
    assert (
        run("""Math.min(...[...document.querySelectorAll('main *')]
        .filter(e => e.innerText).map(e => parseFloat(getComputedStyle(e).fontSize)))""")
        >= 11
    )
    for row in boxes(browser, ".columns"):
        assert row["left"] >= 0
        assert row["right"] <= width
    for chart in browser.find_elements("css selector", ".plot"):
        spans = [e.rect for e in chart.find_elements("css selector", "span")]
        assert len(spans) >= 3
        for one, other in pairwise(spans):
            assert one["x"] + one["width"] < other["x"]
        assert spans[-1]["x"] + spans[-1]["width"] <= width
    # Texts differ enough from the card behind them (WCAG: 4.5 for small ones), and what is
    # emphasized stands out more than what is not, in the dark too.
    assert run(TEXT_CONTRAST) >= 4.5
    talked, everything = run(COLOURS)
    assert talked > 1.5 * everything
    # The numbers open by the keyboard.
    summary = browser.find_element("css selector", "summary")
    summary.send_keys("\n")
    assert browser.find_element("css selector", "details[open] table").is_displayed()
    # The data's markup is text.
    for details in browser.find_elements("css selector", "details:not([open]) summary"):
        details.click()
    assert HOSTILE[0] in browser.find_element("tag name", "body").text
    assert run("window.hacked") is None
    assert cut_off(browser, width) == []
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


TEXT_CONTRAST = f"""
(() => {{
  {CONTRAST}
  const back = light(getComputedStyle(document.querySelector('.card')).backgroundColor);
  const texts = document.querySelectorAll(
    '.card p, .card h2, .card b, .card summary, .bars span, .columns span');
  return Math.min(...[...texts].map(e => ratio(light(getComputedStyle(e).color), back)));
}})()
"""
COLOURS = f"""
(() => {{
  {CONTRAST}
  const of = name => getComputedStyle(document.querySelector('.plot i.' + name)).backgroundColor;
  const back = light(getComputedStyle(document.querySelector('.card')).backgroundColor);
  return ['talked', 'all'].map(name => ratio(light(of(name)), back));
}})()
"""
