"""A first look at the loaded sessions: one HTML file, made from the database.

python3 dev.py report --database postgresql://user@host/name [--table schema.visitor_sessions]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from report.figures import ReportError, collect
from report.page import page


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(
        prog="dev.py report", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--database", required=True, metavar="URL", help="postgresql://user:password@host/name")
    add("--table", help="schema.table; default: the only table named visitor_sessions")
    add("--timezone", default="UTC", help="IANA name of the zone whose days are shown")
    add(
        "--account",
        help="only its sessions, where the table has the column account, and its name in the\n"
        "title; default: all, and the accounts or sites of the table",
    )
    add("--marts", help="schema of the marts of transform/; default: the only one that has them")
    add("--output", type=Path, default=Path("report.html"))
    options, more = parser.parse_known_args(arguments)
    if more:  # not by argparse, which would repeat them: one may be a URL
        parser.error(f"{len(more)} arguments that are no options: see --help")
    try:
        figures = collect(
            options.database, options.table, options.timezone, options.account, options.marts
        )
    except ReportError as problem:
        sys.exit(f"report: {problem}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page(figures), encoding="utf-8")
    print(f"{figures.sessions} sessions of {figures.table}: {options.output}")


if __name__ == "__main__":
    main()
