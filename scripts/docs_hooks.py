"""What `make docs` adds to the pages: linked sources, a gallery of clips, the tasks in the navigation.

The pages link to files of the repository, so that they can be read there. On the site each of these files becomes a
page under ``source/``, or is copied there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\]\(([^)\s#:]+)(#[^)]*)?\)")
_ROLE = re.compile(r":(?:class|func|meth|data|mod|attr|py:\w+):<code>~?([\w.]+)(?:\(\))?</code>")
_SHOWN = {".py": "python", ".toml": "toml"}
"""Files that are shown as a page of code."""
_GALLERY, _CONTENTS = "tasks/gallery.md", "contents.md"
_origin: dict[str, str] = {}
"""Page under ``source/`` -> the file that it was made from."""


def on_config(config: Any) -> Any:
    """Put every task into the navigation."""
    pages = sorted(path.name for path in (ROOT / "docs" / "tasks").glob("*-v0.md"))
    tasks = ["tasks/README.md", {"Gallery": _GALLERY}, *({name[:-3]: f"tasks/{name}"} for name in pages)]
    config["nav"] = [{"Tasks": tasks} if entry == {"Tasks": "tasks/"} else entry for entry in config["nav"]]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the gallery, and a page for each file of the repository that a page links to."""
    files.append(File.generated(config, _GALLERY, content=_gallery()))
    waiting = [(f"docs/{file.src_uri}", Path(file.abs_src_path).read_text()) for file in _written(files)]
    known: set[str] = set()
    while waiting:
        page, text = waiting.pop()
        for target in _outside(page, text):
            if target in known:
                continue
            known.add(target)
            path, uri = ROOT / target, _uri(target)
            content = _content(path)
            if content is None:
                files.append(File.generated(config, uri, abs_src_path=str(path)))
                continue
            _origin[uri] = origin = f"{target}/{_CONTENTS}" if path.is_dir() else target
            files.append(File.generated(config, uri, content=content))
            waiting.append((origin, content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to files of the repository lead to their pages."""
    uri = page.file.src_uri
    origin = _origin.get(uri, f"docs/{uri}")

    def replaced(match: re.Match[str]) -> str:
        target = _target(origin, match[1])
        inside = target.removeprefix("docs/") if target.startswith("docs/") else _uri(target)
        link = posixpath.relpath(inside, posixpath.dirname(uri) or ".")
        return f"]({link}{match[2] or ''})"

    return markdown if uri == _GALLERY else _LINK.sub(replaced, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Show names that docstrings refer to as code."""
    return _ROLE.sub(lambda match: f"<code>{match[1].rpartition('.')[2]}</code>", html)


def _written(files: Any) -> Iterator[Any]:
    """Return the pages that are files of the documentation."""
    return (file for file in files.documentation_pages() if file.abs_src_path)


def _target(page: str, link: str) -> str:
    """Return the path in the repository that a link on a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _outside(page: str, text: str) -> Iterator[str]:
    """Return the files outside of the documentation that a page links to, and those of linked folders."""
    for link, _ in _LINK.findall(text):
        target = _target(page, link)
        if target.startswith("docs") or not (ROOT / target).exists():
            continue
        yield target
        if (ROOT / target).is_dir():
            yield from (f"{target}/{path.name}" for path in sorted((ROOT / target).iterdir()) if path.is_file())


def _uri(target: str) -> str:
    """Return where a file of the repository lies on the site."""
    path = ROOT / target
    if path.is_dir():
        return f"source/{target}/{_CONTENTS}"
    return f"source/{target}{'.md' if path.suffix in _SHOWN else ''}"


def _content(path: Path) -> str | None:
    """Return the page that shows a file, None where it is copied."""
    name = path.relative_to(ROOT)
    if path.is_dir():
        listed = sorted(part.name for part in path.iterdir() if part.is_file())
        return f"# {name}\n\n" + "\n".join(f"- [{part}]({part})" for part in listed)
    if path.suffix in _SHOWN:
        return f"# {name}\n\n````{_SHOWN[path.suffix]}\n{path.read_text()}````\n"
    return path.read_text() if path.suffix == ".md" else None


def _gallery() -> str:
    """Return a page with the clip of every task."""
    figures = []
    for clip in sorted((ROOT / "docs" / "tasks").glob("*-v0.webp")):
        name = clip.stem
        picture = f'<img src="{clip.name}" alt="The expert in {name}" loading="lazy">'
        figures.append(f'<figure><a href="{name}.html">{picture}</a><figcaption>{name}</figcaption></figure>')
    return "# Gallery\n\nThe expert of each task; a click leads to its page.\n\n" + "\n".join(
        ['<div class="gallery">', *figures, "</div>"]
    )
