"""Charts as HTML: bars and columns whose sizes are percentages.

Text stays text of the page's own size on every screen, and nothing has to be rendered.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from math import ceil

LONGEST_LABEL = 32
UNKNOWN = "not known"
MOST_LABELS = 6
"""Labels of the axis of days: so many fit on a phone."""
FORMS = {"day": "%-d %b", "week": "%-d %b", "month": "%b %Y"}


@dataclass(frozen=True)
class Bar:
    """A line of a chart of bars.

    Attributes:
        share: Its length, 0 to 1.
        strong: What is read first, such as a rate.
        beside: What stands after it, such as a number of sessions.
    """

    label: str | None
    share: float
    strong: str
    beside: str


@dataclass(frozen=True)
class Column:
    """A column over time.

    Attributes:
        value: Its height, in the chart's own unit.
        part: The emphasized part of it, from the bottom.
    """

    at: date
    value: float
    part: float | None = None


def label(text: str | None) -> str:
    """A value as a label: one line of printable characters, cut."""
    if text is None:
        return UNKNOWN
    line = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text).strip()
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"


def number(value: int) -> str:
    """An integer, its thousands set apart."""
    return f"{value:,}".replace(",", "\u202f")


def bars(found: Sequence[Bar], kind: str = "talked") -> str:
    """A bar for each value; the longest fills its track.

    Args:
        kind: The class of the colour: `talked` or `all`.
    """
    most = max((bar.share for bar in found), default=0) or 1
    rows = "".join(
        f'<li><span class="name"><bdi>{escape(label(bar.label))}</bdi></span>'
        f'<span class="track"><i class="{kind}" style="width:{100 * bar.share / most:.1f}%"></i>'
        f"</span><b>{escape(bar.strong)}</b>"
        f'<span class="beside">{escape(bar.beside)}</span></li>'
        for bar in found
    )
    return f'<ul class="bars">{rows}</ul>'


def pairs(found: Sequence[tuple[str | None, int, int]]) -> str:
    """Two bars for each label, the first of them in the colour `all`."""
    most = max((max(one, other) for _, one, other in found), default=0) or 1
    rows = []
    for name, *values in found:
        tracks = "".join(
            f'<span class="track"><i class="{kind}" style="width:{100 * value / most:.1f}%"></i>'
            f"</span><b>{number(value)}</b>"
            for kind, value in zip(("all", "talked"), values, strict=True)
        )
        rows.append(f'<li><span class="name"><bdi>{escape(label(name))}</bdi></span>{tracks}</li>')
    return f'<ul class="bars pairs">{"".join(rows)}</ul>'


def columns(found: Sequence[Column], unit: str, top: str, kind: str = "all") -> str:
    """A column for each period, with labels thinned out.

    Args:
        found: Without gaps, not empty.
        top: The value at the top of the scale, as text.
        kind: The class of the colour of whole columns.
    """
    most = max(column.value for column in found) or 1
    every = ceil(len(found) / MOST_LABELS)
    cells = []
    for place, column in enumerate(found):
        inner = ""
        if column.part is not None:
            height = 100 * column.part / (column.value or 1)
            inner = f'<i class="talked" style="height:{height:.1f}%"></i>'
        at = ""
        if place % every == 0 and place + every / 2 <= len(found):
            at = f"<span>{column.at.strftime(FORMS[unit])}</span>"
        height = 100 * column.value / most
        cells.append(f'<div><i class="{kind}" style="height:{height:.1f}%">{inner}</i>{at}</div>')
    return (
        f'<div class="columns"><span class="top">{escape(top)}</span>'
        f'<div class="plot">{"".join(cells)}</div></div>'
    )
