"""``rlmem zoo``: the trained agents that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import starmap
from typing import TYPE_CHECKING

from rlmem.cli.help import cli
from rlmem.cli.json_output import JsonOption, json_output
from rlmem.cli.text_table import filled, table
from rlmem.digits import measured_number, short_number
from rlmem.suggest import one_of

if TYPE_CHECKING:
    from rlmem.runs.card import Card


@dataclass(frozen=True)
class Zoo(JsonOption):
    """Trained agents that come with the package; with NAME, the card of one.

    They stand wherever the folder of a run does: render, evaluate, memory, report, export, gradients.

    Examples:
        rlmem zoo
        rlmem zoo TMaze-v0
        rlmem render zoo:TMaze-v0
    """


def run(argv: Sequence[str]) -> int:
    """Print all agents, or the card of one."""
    arguments = [*argv]
    name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    options: Zoo = cli(Zoo, arguments, "rlmem zoo", "[NAME]")
    from rlmem.runs.card import PAGE, read_card
    from rlmem.runs.named import ZOO, run_folder, zoo

    with json_output(options.json) as write:
        if name is not None:
            folder = run_folder(f"{ZOO}{name.removeprefix(ZOO)}")
            page = (folder / PAGE).read_text(encoding="utf-8").split("---\n\n", 1)[-1]
            print("\n".join(part for line in page.splitlines() for part in _fitting(line)))
            write(asdict(read_card(folder)))
            return 0
        cards = {found: read_card(folder) for found, folder in zoo().items()}
        print("\n".join(table([_HEAD, *starmap(_row, cards.items())], flexible=0, right=(1, 3, 4, 5))))
        print("\n".join(filled(f"{_BELOW} Trained by {one_of({card.agent for card in cards.values()})}.")))
        write({"agents": {found: asdict(card) for found, card in cards.items()}})
    return 0


_HEAD = ("name", "value", "95 % interval", "no memory", "oracle", "zeroed")
_BELOW = (
    "value: success or score on held-out seeds; no memory, oracle: the most without memory, and of an agent that knows "
    "everything; zeroed: the value with the hidden state zeroed at the query. It can lie below that of no "
    "memory: what the agent was about to do is forgotten too, and it may then give no answer at all. "
    "`rlmem zoo NAME` shows a card."
)


def _fitting(line: str) -> list[str]:
    """Return a line of a card, filled if it is text and not a row of a table."""
    return filled(line) if line and not line.startswith("|") else [line]


def _row(name: str, card: Card) -> tuple[str, ...]:
    ceilings = (card.memoryless, card.oracle)
    tops = ("-" if top is None else short_number(top) for top in ceilings)
    lesioned = "-" if card.lesioned is None else measured_number(card.lesioned)
    interval = f"{measured_number(card.low)} to {measured_number(card.high)}"
    return (f"zoo:{name}", measured_number(card.value), interval, *tops, lesioned)
