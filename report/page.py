"""The report as one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from html import escape

from report import charts
from report.answers import Answers, Path, Touched
from report.charts import Bar, Column, number
from report.figures import Figures, Line, Split, Talk, Week
from report.names import name_of

CONTACT = "a call, chat or message"
STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5d687b; --card: #fff; --page: #f4f6fa;
  --line: #e3e7ee; --track: #eef1f6; --all: #b9cbea; --talked: #1f4fa8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #a3adbd; --card: #1b212c; --page: #12161e; --line: #2c3442;
    --track: #252d3a; --all: #3f557f; --talked: #8ab4ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em;
  overflow-wrap: anywhere; } .days { white-space: nowrap; }
h2 { font-size: 17px; margin: 0 0 2px; } h2.part { font-size: 21px; margin-top: 28px; }
p { margin: 0; } .soft { color: var(--soft); font-size: 13px; }
.totals { display: flex; flex-wrap: wrap; gap: 16px; margin-top: 24px; }
.totals .card { flex: 1 1 200px; }
.wide { margin: 16px 0; }
.cards { display: grid; gap: 16px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.cards > .card:last-child:nth-child(odd) { grid-column: 1 / -1; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 18px 20px; min-width: 0; }
.total b { display: block; font-size: 26px; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.chart { margin: 14px 0 6px; }
.all { background: var(--all); } .talked { background: var(--talked); }
.bars { list-style: none; margin: 0; padding: 0; font-size: 13px; }
.bars li { display: grid; grid-template-columns: minmax(0, 11em) 1fr 4em 8.5em; gap: 10px;
  align-items: center; padding: 3px 0; }
.bars .name { overflow-wrap: anywhere; line-height: 1.3; }
.bars .track { background: var(--track); border-radius: 3px; height: 16px; overflow: hidden; }
.bars .track i { display: block; height: 100%; min-width: 1px; border-radius: 3px; }
.bars b, .bars .beside { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.bars .beside { color: var(--soft); }
.pairs li { grid-template-columns: minmax(0, 11em) 1fr 4em; gap: 1px 10px; }
.pairs .name { grid-row: span 2; } .pairs .track { height: 11px; }
.columns { position: relative; padding-top: 20px; }
.columns .top { position: absolute; top: 0; left: 0; font-size: 12px; color: var(--soft); }
.plot { display: flex; align-items: stretch; gap: 2px; height: 170px; margin-bottom: 24px;
  border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.plot div { position: relative; flex: 1 1 0; min-width: 0; display: flex; align-items: flex-end; }
.plot div > i { width: 100%; display: flex; align-items: flex-end; border-radius: 2px 2px 0 0;
  overflow: hidden; }
.plot div > i > i { width: 100%; }
.plot span { position: absolute; top: 100%; left: 0; margin-top: 4px; font-size: 12px;
  color: var(--soft); white-space: nowrap; }
.key { margin-right: 14px; } .key::before { content: ""; display: inline-block; width: 10px;
  height: 10px; border-radius: 2px; margin-right: 5px; background: var(--all); }
.key.rate::before { background: var(--talked); }
details { margin-top: 8px; } summary { cursor: pointer; color: var(--soft); font-size: 13px; }
.rows { max-height: 420px; overflow: auto; margin-top: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { padding: 5px 8px; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; font-weight: normal; overflow-wrap: anywhere; }
th:first-child { text-align: left; }
thead th { color: var(--soft); position: sticky; top: 0; background: var(--card); }
@media (max-width: 720px) {
  main { padding: 20px 12px 32px; } .card { padding: 14px; } h1 { font-size: 23px; }
  .totals { gap: 12px; } .totals .card { flex-basis: 140px; }
  .cards { grid-template-columns: minmax(0, 1fr); gap: 12px; }
  .bars li { grid-template-columns: 1fr auto auto; gap: 2px 10px; padding: 5px 0; }
  .pairs li { grid-template-columns: 1fr auto; } .pairs .name { grid-row: auto; }
  .bars .name { grid-column: 1 / -1; } .bars b { min-width: 3.6em; }
  .bars .beside { min-width: 7.5em; }
}
"""
# Nothing may be fetched and no script may run, whatever the data says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(figures: Figures) -> str:
    """The whole file."""
    title = f"Visitor sessions of {figures.account or figures.table}"
    span = ""
    if figures.first is not None and figures.last is not None:
        span = f" · {span_of(figures.first.date(), figures.last.date())}"
    days = f'<span class="days">{span}</span>'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(charts.label(title))}{span}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<header><h1><bdi>{_text(title)}</bdi>{days}</h1>\n"
        f'<p class="soft">Table {_text(figures.table)}, read at {figures.made_at:%Y-%m-%d %H:%M}. '
        f"Days and times are those of {_text(figures.timezone)}.</p></header>\n"
        + "\n".join(_body(figures))
        + "\n</main>\n</body>\n</html>\n"
    )


def span_of(first: date, last: date) -> str:
    """From a day to a day: the year once, where it is the same."""
    if first == last:
        return f"{last:%-d %b %Y}"
    form = "%-d %b" if first.year == last.year else "%-d %b %Y"
    return f"{first.strftime(form)} to {last:%-d %b %Y}"


def _body(figures: Figures) -> Iterator[str]:
    if figures.first is None or figures.last is None:
        yield '<section class="wide card"><h2>No sessions</h2>'
        yield "<p>The table is empty: run the tap first.</p></section>"
        return
    yield from _totals(figures)
    yield f'<div class="wide">{_periods(figures)}</div>'
    yield from _cards(figures)
    if figures.answers is not None:
        yield from _answers(figures.answers)
    if figures.missing:
        names = ", ".join(figures.missing)
        yield f'<p class="soft" style="margin-top:16px">Not in the table: {_text(names)}.</p>'


def _cards(figures: Figures) -> Iterator[str]:
    """A card for each column, and one for communications."""
    yield '<div class="cards">'
    for split in figures.splits:
        yield _split(split)
    if figures.talks is not None:
        yield _talks(figures.talks, figures.sessions)
    yield "</div>"


def _totals(figures: Figures) -> Iterator[str]:
    """The figures at the top, the newest week against the one before."""
    now, before = figures.weeks or (None, None)
    assert figures.first is not None
    assert figures.last is not None
    seconds = (figures.last - figures.first).total_seconds()
    days = max(round(seconds / 86_400), 1)
    cells = []
    if figures.talked is not None:
        share = _share(figures.talked, figures.sessions)
        cells.append((share, f"with {CONTACT}", f"{number(figures.talked)} sessions"))
    each_day = f"{number(round(figures.sessions / days))} a day in {number(days)} days"
    cells.append((number(figures.sessions), "sessions", each_day))
    if figures.visitors is not None:
        each = figures.sessions / max(figures.visitors, 1)
        cells.append((number(figures.visitors), "visitors", f"{each:.1f} sessions each"))
    if figures.accounts is not None and figures.accounts > 1:
        cells.append((number(figures.accounts), "accounts", "in one table"))
    if figures.customers is not None:
        cells.append((number(figures.customers), "customers", "of the partner"))
    if now is not None and before is not None:
        name = f"sessions, last week ({span_of(now.first, now.first + timedelta(days=6))})"
        cells.append((number(now.sessions), name, _against(now, before)))
    yield '<section class="totals" aria-label="Totals">'
    for value, name, note in cells:
        yield (
            f'<div class="card total"><p class="soft">{_text(name)}</p><b>{_text(value)}</b>'
            f'<p class="soft">{_text(note)}</p></div>'
        )
    yield "</section>"


def _against(now: Week, before: Week) -> str:
    """A week against the one before: sessions in per cent, the rate in points."""
    change = f"{now.sessions / before.sessions - 1:+.1%}" if before.sessions else "none"
    text = f"{change} against the week before"
    if now.talked is not None and before.talked is not None and now.sessions and before.sessions:
        rate = now.talked / now.sessions
        points = 100 * (rate - before.talked / before.sessions)
        text += f"; rate {rate:.1%} ({points:+.1f} points)"
    return text.replace("-", "−")


def _periods(figures: Figures) -> str:
    """Rate and sessions over time."""
    rows = without_gaps(figures.periods, figures.unit)
    unit = figures.unit
    form = "%Y-%m" if unit == "month" else "%Y-%m-%d"
    lines = [Line(at.strftime(form), sessions, talked) for at, sessions, talked in rows]
    table = _table(unit.capitalize(), "", lines, figures.sessions, share=False)
    drawn, title = "", f"Sessions per {unit}"
    if figures.talked is not None:
        title = f"Rate and sessions per {unit}"
        rates = [Column(at, 100 * (talked or 0) / (all_ or 1)) for at, all_, talked in rows]
        top = f"{max(rate.value for rate in rates):.1f}% with {CONTACT}"
        drawn = charts.columns(rates, unit, top, "talked")
    sessions = [Column(at, all_, talked) for at, all_, talked in rows]
    top = f"{number(max(all_ for _, all_, _ in rows))} sessions"
    drawn += charts.columns(sessions, unit, top)
    note = f"The first and the last {unit} may be incomplete."
    return _card(title, _keys(figures.talked is not None), drawn, table, note)


def _split(split: Split) -> str:
    note = _text(split.note)
    if not split.lines:
        return _card(split.title, "", "", "<p>No such sessions.</p>", note)
    lines = [*split.lines, *([split.others] if split.others else [])]
    sessions = sum(line.sessions for line in lines)
    if split.others:
        left = f"{split.others.value}, not drawn: {number(split.others.sessions)} sessions"
        note += f" {_text(left)}, {_share(split.others.sessions, sessions)}."
    has_talks = split.lines[0].talked is not None
    drawn = charts.bars(
        [_bar(split.column, line, sessions) for line in split.lines],
        "talked" if has_talks else "all",
    )
    key = f"rate: sessions with {CONTACT}" if has_talks else "share of sessions"
    keys = f'<span class="key{" rate" if has_talks else ""}">{key}</span>'
    table = _table(split.title, split.column, lines, sessions)
    return _card(split.title, keys, drawn, table, note)


def _bar(column: str, line: Line, sessions: int) -> Bar:
    """The rate, with sessions beside it; without communications the share of all sessions."""
    name, beside = name_of(column, line.value), f"{number(line.sessions)} sessions"
    if line.talked is None:
        share = line.sessions / sessions
        return Bar(name, share, f"{share:.0%}", beside)
    return Bar(name, line.talked / line.sessions, _share(line.talked, line.sessions), beside)


def _talks(talks: Sequence[Talk], sessions: int) -> str:
    title = "Communications"
    if not talks:
        return _card(title, "", "", "<p>No session has a communication.</p>")
    head = ["Type", "Communications", "Sessions with one", "Share of sessions"]
    named = [(name_of("communication_type", talk.type), talk) for talk in talks]
    rows = [
        [_value(name), number(t.count), number(t.sessions), _share(t.sessions, sessions)]
        for name, t in named
    ]
    drawn = [
        Bar(
            name,
            t.sessions / sessions,
            _share(t.sessions, sessions),
            f"{number(t.sessions)} sessions",
        )
        for name, t in named
    ]
    keys = '<span class="key rate">share of sessions that have one</span>'
    return _card(title, keys, charts.bars(drawn), _rows(title, head, rows))


def _answers(answers: Answers) -> Iterator[str]:
    """What brought the conversions, from the marts."""
    marts = f"{number(answers.conversions)} calls, chats, goals and messages, from the marts in "
    yield f'<h2 class="part">What brought them</h2><p class="soft">{marts}'
    yield f"{_text(answers.schema)}.</p>"
    if answers.conversions:
        yield '<div class="cards wide">'
        yield _touched(answers.channels)
        yield _days(answers)
        yield _paths(answers.paths)
        yield "</div>"


def _touched(channels: Sequence[Touched]) -> str:
    title = "Channels by first and last touch"
    named = [(_channel(one.channel), one.first, one.last) for one in channels]
    rows = [[_value(name), number(first), number(last)] for name, first, last in named]
    keys = '<span class="key">first touch</span><span class="key rate">last touch</span>'
    return _card(title, keys, charts.pairs(named), _rows(title, ["Channel", "First", "Last"], rows))


def _days(answers: Answers) -> str:
    title = "Days from the first touch"
    found = [(name, count, _share(count, answers.conversions)) for name, count in answers.days]
    drawn = [
        Bar(name, count / answers.conversions, share, number(count)) for name, count, share in found
    ]
    rows = [[_value(name), number(count), share] for name, count, share in found]
    keys = '<span class="key rate">share of the calls, chats, goals and messages</span>'
    table = _rows(title, ["After", "How many", "Share"], rows)
    return _card(title, keys, charts.bars(drawn), table)


def _paths(paths: Sequence[Path]) -> str:
    title = "The commonest paths"
    rows = []
    for one in paths:
        name = " → ".join(_channel(step) or charts.UNKNOWN for step in one.path.split(" > "))
        rate = _share(one.conversions, one.conversions + one.without)
        rows.append([_value(name), number(one.conversions), number(one.without), rate])
    head = ["Channels of the sessions", "With a conversion", "Without", "Rate"]
    return _card(title, "", "", _rows(title, head, rows))


def _channel(value: str) -> str | None:
    return None if value == "(unknown)" else name_of("channel", value)


def _keys(talked: bool) -> str:
    more = f'<span class="key rate">with {CONTACT}</span>' if talked else ""
    return f'{more}<span class="key">sessions</span>'


def _card(title: str, keys: str, chart: str, table: str, note: str = "") -> str:
    noted = f'<p class="soft">{note.strip()}</p>' if note.strip() else ""
    drawn = f'<div class="chart" aria-hidden="true">{chart}</div>' if chart else ""
    numbers = f"<details><summary>The numbers</summary>{table}</details>" if chart else table
    return (
        f'<section class="card"><h2>{_text(title)}</h2><p class="soft">{keys}</p>'
        f"{noted}{drawn}{numbers}</section>"
    )


def _table(
    name: str, column: str, lines: Sequence[Line], sessions: int, *, share: bool = True
) -> str:
    has_talks = any(line.talked is not None for line in lines)
    head = [name, "Sessions"] + ["Share"] * share
    head += [f"With {CONTACT}", "Rate"] * has_talks
    rows = []
    for line in lines:
        row = [_value(name_of(column, line.value)), number(line.sessions)]
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
        at += timedelta(days=7 if unit == "week" else 1)
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
