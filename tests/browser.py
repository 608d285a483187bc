"""A headless Chromium on screens of several sizes, and what is cut off on them.

In the default run tests that need it are skipped where Selenium or Chromium is missing; `python3
dev.py report --check` and `docs --check` install both, Chromium with apt where that is allowed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
    "--allow-file-access-from-files",
]
WIDTHS = (390, 768, 1440)
HEIGHT = 900


def installed() -> tuple[str, str]:
    """Paths of Chromium and its driver; skips the test where there are none."""
    names = ["chromium", "chromedriver"]
    wanted = os.environ.get("BROWSER_CHECK") == "required"
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


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A browser that logs what it fetches."""
    program, driver = installed()
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()


def show(browser: Any, url: str, width: int, *, dark: bool) -> None:
    """Open a page on a screen."""
    metrics = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(url)


def cut_off(browser: Any, width: int) -> list[str]:
    """What does not fit: the page itself, a table, a picture, or a block of code that cannot be
    scrolled (on a phone: any that has to be)."""
    found: list[str] = browser.execute_script(CUT_OFF, width)
    return found


CUT_OFF = """
const width = arguments[0], found = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) found.push('page ' + root.scrollWidth);
const name = e => e.tagName + ' ' + e.textContent.trim().slice(0, 40);
for (const e of document.querySelectorAll('table, img, svg, h1, h2, h3, h4, p, li, pre')) {
  if (!e.getClientRects().length || e.closest('aside, .sidebar-drawer, svg svg')) continue;
  const box = e.getBoundingClientRect();
  if (!box.width) continue;
  const style = getComputedStyle(e);
  const scrolls = ['auto', 'scroll'].includes(style.overflowX);
  if (box.right > root.clientWidth + 1 && !e.closest('pre')) found.push('right ' + name(e));
  if (e.scrollWidth > e.clientWidth + 1 && e.tagName != 'SVG' && style.display != 'inline') {
    if (e.tagName != 'PRE' || !scrolls || width < 720) found.push('inside ' + name(e));
  }
  const wrapper = e.tagName == 'TABLE' && e.parentElement;
  if (wrapper && wrapper.scrollWidth > wrapper.clientWidth + 1) found.push('table ' + name(e));
}
return found;
"""
CONTRAST = """
const parse = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
const light = color => {
  const [r, g, b] = parse(color).map(v => {
    v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
"""
"""Functions of WCAG: `ratio(light(one), light(other))`."""
