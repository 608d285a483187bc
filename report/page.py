"""The report as one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from html import escape

from report import charts
from report.answers import Answers
from report.charts import number
from report.figures import Figures, Line, Split, Talk

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --card: #fff; --page: #f4f6fa;
  --line: #e6e9ef; --all: #9db8e8; --talked: #1f4fa8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #9aa4b5; --card: #1b212c; --page: #12161e; --line: #2c3442; }
  svg text { fill: #c6cedb; } svg .role-axis-grid line { stroke: #2c3442; }
  svg [fill="#1f4fa8"] { fill: #4f86e8; } :root { --talked: #4f86e8; --all: #9db8e8; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 0 0 2px; } h2.part { font-size: 21px; margin-top: 28px; }
p { margin: 0; } .soft { color: var(--soft); font-size: 13px; }
.totals { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr));
  margin-top: 24px; }
.wide { margin: 16px 0; }
.cards { columns: 2 440px; column-gap: 16px; }
.cards .card { break-inside: avoid; margin-bottom: 16px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 18px 20px; min-width: 0; }
.total b { display: block; font-size: 26px; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.chart { margin: 14px 0 6px; overflow-x: auto; }
.chart svg { display: block; width: 100%; height: auto; overflow: visible; }
.wide .chart svg { min-width: 760px; }
.key::before { content: ""; display: inline-block; width: 10px; height: 10px; border-radius: 2px;
  margin: 0 5px 0 10px; background: var(--all); } .key:first-of-type::before { margin-left: 0; }
.key.talked::before { background: var(--talked); }
details { margin-top: 8px; } summary { cursor: pointer; color: var(--soft); font-size: 13px; }
.rows { max-height: 420px; overflow: auto; margin-top: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { padding: 5px 8px; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; font-weight: normal; }
th:first-child { text-align: left; overflow-wrap: anywhere; }
thead th { color: var(--soft); position: sticky; top: 0; background: var(--card); }
"""
# Nothing may be fetched and no script may run, whatever the data says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(figures: Figures) -> str:
    """The whole file."""
    title = "Visitor sessions"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{title}</h1>\n"
        f'<p class="soft">Table {_text(figures.table)}, read at {figures.made_at:%Y-%m-%d %H:%M}. '
        f"Days and times are those of {_text(figures.timezone)}.</p></header>\n"
        + "\n".join(_body(figures))
        + "\n</main>\n</body>\n</html>\n"
    )


def _body(figures: Figures) -> Iterator[str]:
    if figures.first is None or figures.last is None:
        yield '<section class="wide card"><h2>No sessions</h2>'
        yield "<p>The table is empty: run the tap first.</p></section>"
        return
    yield from _totals(figures)
    yield f'<div class="wide">{_periods(figures)}</div>'
    yield '<div class="cards">'
    for split in figures.splits:
        yield _split(split)
    if figures.talks is not None:
        yield _talks(figures.talks, figures.sessions)
    yield "</div>"
    if figures.answers is not None:
        yield from _answers(figures.answers)
    if figures.missing:
        names = ", ".join(figures.missing)
        yield f'<p class="soft" style="margin-top:16px">Not in the table: {_text(names)}.</p>'


def _totals(figures: Figures) -> Iterator[str]:
    assert figures.first is not None
    assert figures.last is not None
    days = (figures.last.date() - figures.first.date()).days + 1
    cells = [
        (number(figures.sessions), "sessions", f"{number(round(figures.sessions / days))} a day"),
    ]
    if figures.visitors is not None:
        each = figures.sessions / max(figures.visitors, 1)
        cells.append((number(figures.visitors), "visitors", f"{each:.1f} sessions each"))
    if figures.customers is not None:
        cells.append((number(figures.customers), "customers", "of the partner"))
    if figures.talked is not None:
        share = _share(figures.talked, figures.sessions)
        cells.append((share, "with a call or chat", f"{number(figures.talked)} sessions"))
    span = f"{figures.first:%Y-%m-%d %H:%M} to {figures.last:%Y-%m-%d %H:%M}"
    cells.append((f"{number(days)} days", "span", span))
    yield '<section class="totals" aria-label="Totals">'
    for value, name, note in cells:
        yield (
            f'<div class="card total"><p class="soft">{_text(name)}</p><b>{_text(value)}</b>'
            f'<p class="soft">{_text(note)}</p></div>'
        )
    yield "</section>"


def _periods(figures: Figures) -> str:
    rows = without_gaps(figures.periods, figures.unit)
    form = "%Y-%m" if figures.unit == "month" else "%Y-%m-%d"
    has_talks = figures.talked is not None
    lines = [Line(at.strftime(form), sessions, talked) for at, sessions, talked in rows]
    table = _table(figures.unit.capitalize(), lines, figures.sessions, share=False)
    title = f"Sessions per {figures.unit}"
    return _card(title, _keys(has_talks), charts.periods(rows, figures.unit), table)


def _split(split: Split) -> str:
    note = _text(split.note)
    if not split.lines:
        return _card(split.title, "", "", "<p>No such sessions.</p>", note)
    lines = [*split.lines, *([split.others] if split.others else [])]
    sessions = sum(line.sessions for line in lines)
    if split.others:
        left = f"{split.others.value}, not drawn: {number(split.others.sessions)} sessions"
        note += f" {_text(left)}, {_share(split.others.sessions, sessions)}."
    keys = _keys(split.lines[0].talked is not None)
    table = _table(split.title, lines, sessions)
    return _card(split.title, keys, charts.bars(split.lines, sessions), table, note)


def _talks(talks: Sequence[Talk], sessions: int) -> str:
    title = "Communications"
    if not talks:
        return _card(title, "", "", "<p>No session has a communication.</p>")
    head = ["Type", "Communications", "Sessions with one", "Share of sessions"]
    rows = [
        [_value(t.type), number(t.count), number(t.sessions), _share(t.sessions, sessions)]
        for t in talks
    ]
    keys = '<span class="key talked">sessions that have one, and their share of all</span>'
    return _card(title, keys, charts.talks(talks, sessions), _rows(title, head, rows))


def _answers(answers: Answers) -> Iterator[str]:
    marts = f"From the marts in {answers.schema}: {number(answers.conversions)} conversions."
    yield f'<h2 class="part">What brought the conversions</h2><p class="soft">{_text(marts)}</p>'
    if not answers.conversions:
        return
    yield '<div class="cards wide">'
    head = ["Channel", "First touch", "Last touch"]
    rows = [[_value(c.channel), number(c.first), number(c.last)] for c in answers.channels]
    keys = '<span class="key">first touch</span><span class="key talked">last touch</span>'
    title = "Channels by first and last touch"
    yield _card(title, keys, charts.touched(answers.channels), _rows(title, head, rows))
    title = "Days until the conversion"
    rows = [
        [_value(name), number(count), _share(count, answers.conversions)]
        for name, count in answers.days
    ]
    table = _rows(title, ["Since the first touch", "Conversions", "Share"], rows)
    keys = '<span class="key talked">conversions, and their share of all</span>'
    yield _card(title, keys, charts.counts(answers.days), table)
    title = "The commonest paths"
    head = ["Path", "Conversions", "Without one", "Rate"]
    rows = [
        [
            _value(one.path),
            number(one.conversions),
            number(one.without),
            _share(one.conversions, one.conversions + one.without),
        ]
        for one in answers.paths
    ]
    note = "Channels in the order of the sessions; without one: persons who have not converted."
    yield _card(title, "", "", _rows(title, head, rows), note)
    yield "</div>"


def _keys(talked: bool) -> str:
    more = '<span class="key talked">with a call or chat</span>' if talked else ""
    return f'<span class="key">sessions</span>{more}'


def _card(title: str, keys: str, chart: str, table: str, note: str = "") -> str:
    noted = f'<p class="soft">{note.strip()}</p>' if note.strip() else ""
    drawn = f'<div class="chart" aria-hidden="true">{chart}</div>' if chart else ""
    numbers = f"<details><summary>The numbers</summary>{table}</details>" if chart else table
    return (
        f'<section class="card"><h2>{_text(title)}</h2><p class="soft">{keys}</p>'
        f"{noted}{drawn}{numbers}</section>"
    )


def _table(name: str, lines: Sequence[Line], sessions: int, *, share: bool = True) -> str:
    has_talks = any(line.talked is not None for line in lines)
    head = [name, "Sessions"] + ["Share"] * share
    head += ["With a call or chat", "Rate"] * has_talks
    rows = []
    for line in lines:
        row = [_value(line.value), number(line.sessions)]
        row += [_share(line.sessions, sessions)] * share
        talked = line.talked or 0
        row += [number(talked), _share(talked, line.sessions)] * has_talks
        rows.append(row)
    return _rows(name, head, rows)


def _rows(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the cells of `rows` are HTML."""
    top = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{c}</td>" for c in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="rows" tabindex="0" role="region" aria-label="{_text(name)}: the numbers">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def without_gaps(
    rows: Sequence[tuple[date, int, int | None]], unit: str
) -> list[tuple[date, int, int | None]]:
    """Periods without sessions put in."""
    held = {at: (at, sessions, talked) for at, sessions, talked in rows}
    zero = None if rows and rows[0][2] is None else 0
    found, at = [], rows[0][0]
    while at <= rows[-1][0]:
        found.append(held.get(at, (at, 0, zero)))
        at += timedelta(days=1)
        if unit == "month":
            at = (at + timedelta(days=31)).replace(day=1)
    return found


def _text(value: str) -> str:
    return escape(value)


def _value(value: str | None) -> str:
    """A value of the data, kept apart from the text around it whatever its direction."""
    return f"<bdi>{escape(charts.UNKNOWN if value is None else value)}</bdi>"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"
