"""The page as one file of HTML: markup from Python, charts and player drawn by its own script from JSON within it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path

from rlmem.files import json_text, json_values, write_text
from rlmem.report.content import DIGITS, Number, Page, Player, Section, Table

_TEMPLATES = files("rlmem.report") / "templates"
_NUMBER = re.compile(r"^[-+]?[\d,.]+( to [-+]?[\d,.]+)?$")


def write_page(page: Page, path: Path) -> None:
    """Write a page; the file appears when it is complete."""
    write_text(path, render_page(page))


def render_page(page: Page) -> str:
    """Return a page as HTML that asks no network for anything."""
    charts = [asdict(chart) for section in page.sections for chart in section.charts]
    data: dict[str, object] = {"charts": charts}
    if page.player is not None:
        # the videos are elements of the page, so that a browser without script can play them
        data["episodes"] = [asdict(episode) | {"video": ""} for episode in page.player.episodes]
    parts = {
        "TITLE": escape(page.title),
        "STYLE": _template("page.css"),
        "BODY": _body(page),
        "DATA": _embedded(data),
        "SCRIPT": "\n".join(_template(name) for name in ("charts.js", "player.js")),
    }
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], _template("page.html"))


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _embedded(data: object) -> str:
    """Return JSON that ends no script element, whatever text is in it."""
    return json_text(json_values(data, DIGITS), separators=(",", ":")).replace("<", "\\u003c")


def _body(page: Page) -> str:
    parts = [f"<header><h1>{escape(page.title)}</h1>"]
    if page.subtitle:
        parts.append(f'<p class="subtitle">{escape(page.subtitle)}</p>')
    if page.verdict:
        said = page.verdict[:1].upper() + page.verdict[1:]
        parts.append(f'<p class="verdict">{escape(said)}.</p>')
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in page.facts)
    parts.append(f'<dl class="facts">{facts}</dl></header>')
    if page.player is not None:
        parts.append(_player(page.player))
    number = 0
    for section in page.sections:
        parts.append(_section(section, number))
        number += len(section.charts)
    if page.missing:
        listed = "".join(f"<li>{escape(_sentence(line))}</li>" for line in page.missing)
        parts.append(f'<section class="missing"><h2>Left out</h2><ul>{listed}</ul></section>')
    return "\n".join(parts)


def _player(player: Player) -> str:
    videos = "".join(
        f'<video class="source" muted playsinline controls preload="auto" width="{episode.size[0]}" '
        f'src="{escape(episode.video)}"></video>'
        for episode in player.episodes
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in player.notes)
    return (
        '<section id="player" aria-label="rollout player"><h2>Watch it remember</h2>'
        f'<div class="stage"></div><div class="sources">{videos}</div>'
        f'<details class="notes"><summary>How to read this</summary><ul>{notes}</ul></details></section>'
    )


def _section(section: Section, first: int) -> str:
    text = "".join(f"<p>{escape(line)}</p>" for line in section.text)
    charts = "".join(
        f'<figure class="chart" data-chart="{first + i}"><figcaption><strong>{escape(chart.title)}</strong>'
        f'</figcaption><div class="plot"></div>'
        + (f'<p class="note">{escape(chart.note)}</p>' if chart.note else "")
        + "</figure>"
        for i, chart in enumerate(section.charts)
    )
    grid = f'<div class="charts">{charts}</div>' if charts else ""
    tables = "".join(f"<div>{_table(table)}</div>" for table in section.tables)
    tables = f'<div class="tables">{tables}</div>' if tables else ""
    if section.folded:
        summary = f"<summary>{escape(section.title)}</summary>"
        return f'<section><details class="fold">{summary}{text}{grid}{tables}</details></section>'
    return f"<section><h2>{escape(section.title)}</h2>{text}{grid}{tables}</section>"


def _table(table: Table) -> str:
    columns = list(zip(*table.rows, strict=True))
    numbers = [all(_NUMBER.match(cell) or not cell for cell in column) for column in columns]
    shades = table.shades or [[None] * (len(table.head) - 1)] * len(table.rows)
    rows = "".join(f"<tr>{_row(row, numbers, dark)}</tr>" for row, dark in zip(table.rows, shades, strict=True))
    head = "".join(
        f'<th scope="col"{_aligned(i < len(numbers) and numbers[i])}>{escape(cell)}</th>'
        for i, cell in enumerate(table.head)
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(table.title or "table")}"><table>'
        f"<caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _row(row: Sequence[str], numbers: Sequence[bool], shades: Sequence[Number]) -> str:
    first = f'<th scope="row">{escape(row[0])}</th>'
    rest = zip(row[1:], numbers[1:], shades, strict=True)
    return first + "".join(f"<td{_aligned(number)}{_shaded(dark)}>{escape(cell)}</td>" for cell, number, dark in rest)


def _shaded(dark: Number) -> str:
    return "" if dark is None else f' style="--shade:{min(max(dark, 0.0), 1.0):.0%}" data-shade'


def _aligned(number: bool) -> str:
    return ' class="number"' if number else ""


def _sentence(line: str) -> str:
    return line if line.endswith((".", "?")) else f"{line}."
