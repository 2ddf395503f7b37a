"""The Markdown that ``rlmem benchmark`` writes, read into sections: headings, sentences, tables."""

from __future__ import annotations

from dataclasses import replace

from rlmem.report.content import Page, Section, Table


def sections_of(text: str) -> Page:
    """Return a summary as a page. A sentence after a table is its note.

    Args:
        text: As :func:`rlmem.benchmark.summary.summary` writes it.
    """
    page = Page(title="", subtitle="")
    sections: list[Section] = []
    title = ""
    for block in text.strip().split("\n\n"):
        if block.startswith("# "):
            page = replace(page, title=block[2:])
        elif block.startswith("## "):
            sections.append(Section(title=block[3:]))
        elif not sections:
            page = replace(page, subtitle=block)
        elif block.startswith("|"):
            table = _table(block, title)
            sections[-1] = replace(sections[-1], tables=[*sections[-1].tables, table])
            title = ""
        elif block.startswith("**"):
            title = block.replace("**", "")
            title = title[:1].upper() + title[1:]
        elif sections[-1].tables:
            *others, last = sections[-1].tables
            sections[-1] = replace(sections[-1], tables=[*others, replace(last, note=block)])
        else:
            sections[-1] = replace(sections[-1], text=[*sections[-1].text, block])
    return replace(page, sections=sections)


def _table(block: str, title: str) -> Table:
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines())
    return Table(
        title=title, head=[cell.strip("| ") for cell in head], rows=[[c.strip("| ") for c in row] for row in rows]
    )
