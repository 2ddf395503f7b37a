"""Write a page for each task, with a picture and a clip of its expert, and a contact sheet of the whole suite.

The text is the docstring of the task, the tables are its knobs and its ceilings at the default knobs. Pages, pictures
(PNG) and clips (animated WebP) go to ``docs/tasks``; ``--text`` writes the pages and leaves the pictures as they are.

    python scripts/task_pages.py [--only TMaze-v0 ...] [--text]
"""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gymnasium
import imageio_ffmpeg
import numpy as np
import tyro
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rlmem.cli.docstrings import explanations
from rlmem.cli.list import untrained_words
from rlmem.cli.work_bar import recording_bar
from rlmem.environments import task_spec
from rlmem.envs.pixels import SIZE as VIEW
from rlmem.envs.pixels import PixelTask
from rlmem.evaluation.seeds import validation_seeds
from rlmem.figures.recording import record
from rlmem.registry import NAMESPACE, TASKS, agent_class, task_class
from rlmem.runs.training import agent_for

WIDTH, HEIGHT = 480, 360
CLIP_WIDTH, CLIP_FRAMES, LONGEST = 360, 90, 180
COLUMNS = 7
TILE = (288, 216)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to write.

    Args:
        out: Folder of the pages.
        only: Ids of tasks; all of them if there are none.
        text: Write pages without making pictures anew.
        sheet: File of the contact sheet, WebP.
    """

    out: Path = Path("docs/tasks")
    only: tuple[str, ...] = ()
    text: bool = False
    sheet: Path = Path("docs/tasks.webp")


def film(name: str, out: Path, longest: int) -> None:
    """Write the clip of a task: its expert, on a validation seed, for so many control steps at most."""
    env = gymnasium.make(f"{NAMESPACE}/{name}", render_mode="rgb_array", width=WIDTH, height=HEIGHT, camera="behind")
    vector = gymnasium.make_vec(f"{NAMESPACE}/{name}", num_envs=1)
    expert = agent_for(agent_class("expert"), agent_class("expert").Settings(), vector)
    vector.close()
    expert.bind(env)  # type: ignore[arg-type]
    seed = int(validation_seeds(1)[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with recording_bar(1, longest) as progress:
            record(
                env, expert, path, seeds=seed, max_steps=longest, cue_seconds=0.6, result_seconds=0.8, progress=progress
            )
        frames = list(read(path))
    env.close()
    every = -(-len(frames) // CLIP_FRAMES)
    size = (CLIP_WIDTH, CLIP_WIDTH * frames[0].shape[0] // frames[0].shape[1])
    clip = [Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames[::every]]
    clip[0].save(
        out / f"{name}.webp", save_all=True, append_images=clip[1:], duration=50 * every, loop=0, quality=55, method=4
    )


def read(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames [H, W, 3] of a video."""
    frames = imageio_ffmpeg.read_frames(str(path))
    width, height = next(frames)["size"]
    for frame in frames:
        yield np.frombuffer(frame, np.uint8).reshape(height, width, 3)


def photograph(name: str, out: Path) -> int:
    """Write a picture without words: the cue, and the expert's query half done.

    Returns:
        Control steps that a clip should show: the whole episode, or the beginning of one without a cue.
    """
    env = gymnasium.make(f"{NAMESPACE}/{name}", render_mode="rgb_array", width=WIDTH, height=HEIGHT, camera="behind")
    inner: Any = env.unwrapped
    seed = int(validation_seeds(1)[0])

    def frames(wanted: list[int]) -> tuple[list[NDArray[np.uint8]], list[str | None]]:
        _, info = env.reset(seed=seed)
        phases, pictures, step, ended = [info.get("phase")], [], 0, False
        if step in wanted:
            pictures.append(env.render())
        while not ended and step < 20_000:
            _, _, terminated, truncated, info = env.step(inner.expert_action())
            step, ended = step + 1, terminated or truncated
            phases.append(info.get("phase"))
            if step in wanted:
                pictures.append(env.render())
        return pictures, phases  # type: ignore[return-value]

    _, phases = frames([])
    query = [i for i, phase in enumerate(phases) if phase == "query"] or list(range(len(phases)))
    cue = [i for i, phase in enumerate(phases) if phase == "cue"] or [0]
    pictures, _ = frames(sorted({cue[len(cue) // 2], query[len(query) // 2]}))
    pair = np.concatenate((pictures[0], np.full((HEIGHT, 8, 3), 255, np.uint8), pictures[-1]), 1)
    Image.fromarray(pair).quantize(192, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        out / f"{name}.png", optimize=True
    )
    env.close()
    return len(phases) if phases[0] == "cue" else min(len(phases), LONGEST)


def strip(name: str, out: Path) -> None:
    """Write what the agent of a task with a camera sees: cue, delay and the query from beginning to end."""
    env = gymnasium.make(f"{NAMESPACE}/{name}", observation="pixels").unwrapped
    inner: Any = env
    observation, info = env.reset(seed=int(validation_seeds(1)[0]))
    seen: dict[str, list[NDArray[np.uint8]]] = {}
    ended = False
    while not ended:
        seen.setdefault(info["phase"], []).append(observation)
        observation, _, terminated, truncated, info = env.step(inner.expert_action())
        ended = terminated or truncated
    env.close()
    query = seen["query"]
    shown = [*_spread(seen["cue"], 2), seen["delay"][0], *_spread(query[: len(query) // 5 or 1], 1), *_spread(query, 3)]
    edge = np.full((VIEW, 1, 3), 255, np.uint8)
    pictures = np.concatenate([part for picture in shown for part in (picture, edge)][:-1], axis=1)
    scaled = Image.fromarray(pictures).resize((2 * pictures.shape[1], 2 * VIEW), Image.Resampling.NEAREST)
    scaled.save(out / f"{name}-pixels.png", optimize=True)


def _spread(pictures: list[NDArray[np.uint8]], count: int) -> list[NDArray[np.uint8]]:
    """Return some of the pictures, evenly spread, the last among them."""
    return [pictures[(number + 1) * len(pictures) // count - 1] for number in range(count)]


def page(name: str) -> str:
    """Return the page of a task."""
    cls = task_class(name)
    settings = cls.Settings()
    spec = task_spec(name, {})
    explained = {knob: prose(text) for knob, text in explanations(cls.Settings).items()}
    lines = [f"# {name}", "", prose(inspect.getdoc(cls) or ""), ""]
    moments = "Left: the cue. Right: the query." if _begins_with_cue(name) else "Two moments of an episode."
    lines += [f"![{moments}]({name}.png)", "", f"![The expert]({name}.webp)", ""]
    if issubclass(cls, PixelTask):
        seen = 'What the agent sees with `observation="pixels"`: the cue, the dark delay, the query.'
        lines += [f"![{seen.replace('`', '')}]({name}-pixels.png)", "", seen, ""]
    lines += ["## Ceilings at the default knobs", "", f"| agent | {spec.metric} at most | why |", "|---|---|---|"]
    for who in ("random", "memoryless"):
        lines.append(_row(who, f"{getattr(spec, who).value:.4g}", getattr(spec, who).why))
    lines += [_row(who, f"{ceiling.value:.4g}", ceiling.why) for who, ceiling in spec.partial.items()]
    lines.append(_row("oracle", f"{spec.oracle.value:.4g}", spec.oracle.why))
    lines.append(_row("untrained memory", *untrained_words(spec)))
    least, most = spec.memory_length
    lines += [
        "",
        f"Memory: {spec.memory}, {spec.bits_in_words} over {_range(least, most)} control steps; credit over "
        f"{_range(*spec.credit_length)}. Exact properties of the guard: {', '.join(spec.guarantees) or 'none'}.",
        "",
        "## Knobs",
        "",
        "| knob | default | what it is |",
        "|---|---|---|",
    ]
    lines += [_row(f"`{knob.name}`", f"`{knob.default!r}`", explained.get(knob.name, "")) for knob in fields(settings)]
    for preset, several in cls.Settings.PRESETS.items():
        listed = ", ".join(f"`{knob}={value!r}`" for knob, value in several.items())
        lines += ["", f'`preset="{preset}"`: {listed}.']
    lines += [
        "",
        "```python",
        "import gymnasium",
        "import rlmem",
        "",
        f'env = gymnasium.make("{NAMESPACE}/{name}")',
        "```",
        "",
    ]
    return "\n".join(lines)


def _begins_with_cue(name: str) -> bool:
    """Return whether a cue is shown as an episode begins, rather than none, or what acts bring to light."""
    env = gymnasium.make(f"{NAMESPACE}/{name}")
    _, info = env.reset(seed=0)
    env.close()
    return task_spec(name, {}).n_bits > 0 and info["phase"] in ("cue", "search")


def prose(docstring: str) -> str:
    """Return a docstring as Markdown: roles and double backquotes become code, indented notes paragraphs."""
    text = re.sub(r":\w+:`~?([^`]+)`", lambda match: f"`{match[1].rpartition('.')[2]}`", docstring)
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def _row(*columns: str) -> str:
    return "| " + " | ".join(column.replace("|", r"\|") for column in columns) + " |"


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def index() -> str:
    """Return the page that leads to the others."""
    lines = [
        "# Tasks",
        "",
        "Written by `python scripts/task_pages.py` from the docstrings and specs of the tasks.",
        "",
        "![All tasks](../tasks.webp)",
        "",
        "| task | memory | bits | without memory | untrained memory | oracle |",
        "|---|---|---|---|---|---|",
    ]
    for name in TASKS:
        spec = task_spec(name, {})
        untrained = untrained_words(spec)[0] or "not measured"
        lines.append(
            _row(
                f"[{name}]({name}.md)",
                spec.memory,
                f"{spec.n_bits:.3g}",
                f"{spec.memoryless.value:.4g}" if spec.memoryless.known else "not measured",
                untrained + ", retention only" * spec.retention_only,
                f"{spec.oracle.value:.4g}" + " (score)" * (spec.metric != "success"),
            )
        )
    return "\n".join([*lines, ""])


def contact_sheet(out: Path, path: Path) -> None:
    """Put the queries of all tasks on one picture, each with its name; tasks that look alike share a tile."""
    names = [name for name in _tiles() if (out / f"{name}.png").is_file()]
    rows = -(-len(names) // COLUMNS)
    width, height = TILE
    sheet = Image.new("RGB", (COLUMNS * (width + 8) + 8, rows * (height + 30) + 8), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, name in enumerate(names):
        x, y = 8 + number % COLUMNS * (width + 8), 8 + number // COLUMNS * (height + 30)
        picture = Image.open(out / f"{name}.png").convert("RGB")
        right = picture.crop((picture.width - WIDTH, 0, picture.width, picture.height))
        sheet.paste(right.resize(TILE, Image.Resampling.LANCZOS), (x, y))
        draw.text((x + width / 2, y + height + 4), _tiles()[name], "black", font, anchor="mt")
    sheet.save(path, quality=88, method=6)


def _tiles() -> dict[str, str]:
    """Return the tasks that are shown, with what is written below."""
    tiles: dict[str, str] = {}
    for name in TASKS:
        short = name.removesuffix("-v0")
        if name in ("TMazeActive-v0", "TMazeEndless-v0"):
            tiles["TMaze-v0"] += f", {short.removeprefix('TMaze')}"
        elif name.endswith("Velocity-v0"):
            tiles[name.replace("Velocity", "Position")] += ", Velocity"
        else:
            tiles[name] = short
    return tiles


def main(options: Options) -> None:
    """Write what was asked for."""
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only or TASKS:
        if name not in TASKS:
            raise SystemExit(f"there is no task {name!r}: {', '.join(TASKS)}")
        if not options.text:
            film(name, options.out, photograph(name, options.out))
            if issubclass(task_class(name), PixelTask):
                strip(name, options.out)
        (options.out / f"{name}.md").write_text(page(name), encoding="utf-8")
        print(options.out / f"{name}.md", flush=True)
    (options.out / "README.md").write_text(index(), encoding="utf-8")
    contact_sheet(options.out, options.sheet)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
