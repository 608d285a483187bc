"""Charts as SVG: Vega-Lite specifications, rendered by vl-convert.

Why these: kept by the Vega project; the charts are text and shapes of a few kB, need no
script and no network when looked at, and scale on any screen.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import vl_convert

from report.answers import Touched
from report.figures import Line, Talk

SESSIONS, TALKED = "#9db8e8", "#1f4fa8"
"""Colours of all sessions, and of those with a call or chat."""
INK, GRID = "#3c4657", "#e6e9ef"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
LONGEST_LABEL = 24
UNKNOWN = "not known"
LABELS = 176
"""Pixels kept for them, since the reader's font may be wider than the renderer's."""
FEW_PERIODS = 62
"""Up to so many are drawn as bars."""


def label(text: str | None) -> str:
    """A value as a label: one line of printable characters, cut."""
    if text is None:
        return UNKNOWN
    line = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text).strip()
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"


def number(value: int) -> str:
    """An integer, its thousands set apart."""
    return f"{value:,}".replace(",", "\u202f")


def periods(rows: Sequence[tuple[date, int, int | None]], unit: str) -> str:
    """Sessions over time; `rows` are without gaps."""
    values = [{"at": f"{at}", "all": count, "talked": talked} for at, count, talked in rows]
    is_few = len(rows) <= FEW_PERIODS
    # The times have no zone: they are shown as they are, in whatever zone this is rendered.
    time_unit = "utcyearmonth" if unit == "month" else "utcyearmonthdate"
    x: dict[str, Any] = {
        "field": "at",
        "title": None,
        "axis": {
            "grid": False,
            "format": "%-d %b" if is_few and unit == "day" else "%b %Y",
            "labelAngle": 0,
            "labelOverlap": "greedy",
            "labelSeparation": 12,
        },
    }
    if is_few:
        x |= {"type": "ordinal", "timeUnit": time_unit}
    else:
        x |= {"type": "temporal", "scale": {"type": "utc"}}
    thousands = "replace(format(datum.value, ','), /,/g, '\u202f')"
    y_axis = {"tickCount": 5, "tickMinStep": 1, "labelExpr": thousands, "domain": False}

    def layer(name: str, color: str) -> dict[str, Any]:
        bar = {"type": "bar", "color": color}
        area = {"type": "area", "color": color, "interpolate": "monotone", "line": False}
        y = {"field": name, "type": "quantitative", "title": None, "axis": y_axis}
        return {"mark": bar if is_few else area, "encoding": {"x": x, "y": {**y, "stack": None}}}

    layers = [layer("all", SESSIONS)]
    if rows and rows[0][2] is not None:
        layers.append(layer("talked", TALKED))
    return _rendered({"data": {"values": values}, "layer": layers}, 960, 240)


def bars(lines: Sequence[Line], sessions: int) -> str:
    """Sessions by the values of a column, the most frequent first, with their share of all."""
    values = [
        _bar(place, line.value, line.sessions, line.talked, f"{line.sessions / sessions:.0%}")
        for place, line in enumerate(lines)
    ]
    return _horizontal(values, lines[0].talked is not None)


def touched(lines: Sequence[Touched]) -> str:
    """Conversions by the channel of their first touch above those by that of their last."""
    values = [
        {"place": place, "touch": touch, "count": count, "text": number(count)}
        for place, line in enumerate(lines)
        for touch, count in (("first", line.first), ("last", line.last))
    ]
    y = {**_names({str(n): label(line.channel) for n, line in enumerate(lines)})}
    most = max(max(line.first, line.last) for line in lines)
    encoding = {
        "y": y,
        "yOffset": {"field": "touch", "type": "nominal"},
        "x": {
            "field": "count",
            "type": "quantitative",
            "axis": None,
            "scale": {"domain": [0, most * 1.25], "nice": False},
        },
    }
    color = {
        "field": "touch",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["first", "last"], "range": [SESSIONS, TALKED]},
    }
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "bar"}, "encoding": {"color": color}},
        {
            "mark": {"type": "text", "align": "left", "dx": 6, "color": INK, "fontSize": 11},
            "encoding": {"text": {"field": "text"}},
        },
    ]
    spec = {"data": {"values": values}, "encoding": encoding, "layer": layers}
    return _rendered(spec, 290, 38 * len(lines))


def counts(found: Sequence[tuple[str, int]]) -> str:
    """Numbers by name, in their order, with their share of all."""
    whole = sum(count for _, count in found) or 1
    values = [
        _bar(place, name, count, None, f"{count / whole:.0%}")
        for place, (name, count) in enumerate(found)
    ]
    return _horizontal(values, False, TALKED)


def talks(found: Sequence[Talk], sessions: int) -> str:
    """Sessions that have a communication of a type, with their share of all."""
    values = [
        _bar(place, talk.type, talk.sessions, None, f"{talk.sessions / sessions:.1%}")
        for place, talk in enumerate(found)
    ]
    return _horizontal(values, False, TALKED)


def _bar(
    place: int, name: str | None, sessions: int, talked: int | None, share: str
) -> dict[str, Any]:
    text = f"{number(sessions)} · {share}"
    return {
        "place": place,
        "name": label(name),
        "all": sessions,
        "talked": talked,
        "text": text,
    }


def _horizontal(values: list[dict[str, Any]], talked: bool, color: str = SESSIONS) -> str:
    y = _names({str(value["place"]): value["name"] for value in values})
    most = max(value["all"] for value in values)
    x = {
        "field": "all",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [0, most * 1.45], "nice": False},  # room for the numbers
    }
    bar = {"type": "bar", "height": {"band": 0.72}}
    layers: list[dict[str, Any]] = [
        {"mark": {**bar, "color": color}, "encoding": {"x": x}},
        {
            "mark": {"type": "text", "align": "left", "dx": 6, "color": INK, "fontSize": 12},
            "encoding": {"x": x, "text": {"field": "text"}},
        },
    ]
    if talked:
        layers.insert(
            1, {"mark": {**bar, "color": TALKED}, "encoding": {"x": {**x, "field": "talked"}}}
        )
    spec = {
        "data": {"values": values},
        "encoding": {"y": y},
        "layer": layers,
    }
    return _rendered(spec, 290, 26 * len(values))


def _names(labels: Mapping[str, str]) -> dict[str, Any]:
    """The axis of names; the place keeps apart values whose labels are cut to the same."""
    return {
        "field": "place",
        "type": "ordinal",
        "title": None,
        "axis": {
            # As a text of JavaScript, which JSON is.
            "labelExpr": f"({json.dumps(labels)})[datum.value]",
            "labelLimit": LABELS,
            "minExtent": LABELS,
            "maxExtent": LABELS,
            "domain": False,
            "ticks": False,
            "labelPadding": 8,
            "grid": False,
        },
    }


def _rendered(spec: dict[str, Any], width: int, height: int) -> str:
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "background": None,
        "config": {
            "view": {"stroke": None},
            "font": FONT,
            "axis": {
                "labelColor": INK,
                "labelFontSize": 12,
                "gridColor": GRID,
                "domainColor": GRID,
                "ticks": False,
                "labelPadding": 6,
            },
            "aria": False,  # the table beneath says it better
        },
        **spec,
    }
    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return svg
