"""The fenced blocks of the pages, and who runs each.

A comment before a block says what is to be done with it:

<!-- file: NAME -->       it is written to the file NAME, for the blocks that follow
<!-- run by: SUITE -->    `python3 dev.py SUITE` runs it: it needs programs of others
<!-- not run: REASON -->  nothing runs it

Without one it is run by the gate: see RUN.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "hub/README.md", "benchmarks/README.md"),
    "orchestrate/airflow/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]
PARSED = {"json", "yaml", "toml", "ini", "crontab", "dockerfile"}
"""Languages whose blocks are read by a parser (tests/project/test_pages.py)."""
SHOWN = {"text"}
"""Languages of what programs print."""
RUN = {
    "sh": "tests/project/test_pages_run.py",
    "sql": "tests/project/test_pages_sql.py",
    "python": "tests/dlt/test_page.py",
}
"""Language -> the test that runs its blocks."""
ELSEWHERE = {
    ("docs/dlt.md", "sql"): "tests/dlt/test_page.py",
    ("docs/trust.md", "sql"): "tests/loaders/test_trust.py",
    ("docs/loaders.md", "target-snowflake"): "tests/loaders/test_loaders.py",
    ("docs/loaders.md", "target-duckdb"): "tests/loaders/test_loaders.py",
    ("docs/loaders.md", "target-jsonl"): "tests/loaders/test_loaders.py",
    ("docs/loaders.md", "target-csv"): "tests/loaders/test_loaders.py",
    ("docs/transform.md", "Five questions"): "tests/transform/test_marts.py",
    ("docs/transform.md", "Data-driven attribution"): "tests/transform/test_markov.py",
    ("docs/transform.md", "sql"): "tests/transform/test_edges.py",
}
"""Page, and language or section -> another test that runs its blocks."""
_FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (file|run by|not run): ([^>]*?) -->\s*\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Its path in the checkout.
        line: Where its fence is.
        section: The heading of the second level before it.
        mark: `file`, `run by`, `not run`, or nothing.
        note: What the mark says: a file, a suite, a reason.
    """

    page: str
    line: int
    language: str
    text: str
    section: str
    mark: str = ""
    note: str = ""

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"

    @property
    def is_run_here(self) -> bool:
        """Whether the gate runs it, by the test that RUN names."""
        places = {(self.page, self.language), (self.page, self.section)}
        return self.mark == "" and not places & ELSEWHERE.keys()


def blocks(page: str, language: str = "") -> list[Block]:
    """The blocks of a page, directives of Sphinx left out; of one language, if it is named."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        name = fence[3].strip()
        if name.startswith("{") or (language and name != language):
            continue
        before = text[: fence.start()]
        headings = re.findall(r"^## (.+)$", before, re.MULTILINE)
        mark = _MARK.search(before)
        found.append(
            Block(
                page,
                before.count("\n") + 1,
                name,
                textwrap.dedent(fence[4]),
                headings[-1] if headings else "",
                mark[1] if mark else "",
                mark[2] if mark else "",
            )
        )
    return found


def every(language: str = "") -> list[Block]:
    """The blocks of all pages."""
    return [block for page in PAGES for block in blocks(page, language)]
