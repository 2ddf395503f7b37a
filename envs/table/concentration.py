"""Concentration: find pairs of equal tiles by touching two at a time, and remember what was under the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from rlmem.envs.memory_task import QUERY, Bools, Floats, Indices, Ints, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.table import scenery
from rlmem.envs.table.acts import MOST_BOXES, SHOW_STEPS, USUAL_STEPS, ActSettings, ActTask, half_width
from rlmem.envs.task_settings import check_whole
from rlmem.spec import Ceiling, TaskSpec

_THICK = 0.008
"""m, half the height of a tile."""
_UNKNOWN = -1
_NEW = 0.2
"""Reward for turning up a tile that was not seen since the last deal."""


@dataclass(frozen=True, kw_only=True)
class ConcentrationSettings(ActSettings):
    """The knobs of concentration. See also :class:`rlmem.envs.table.acts.ActSettings`.

    Args:
        pairs: p, pairs of tiles.
        turns: R, turns of two touches.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    pairs: int = 3
    turns: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("pairs", self.pairs, least=2, most=MOST_BOXES // 2)
        check_whole("turns", self.turns, least=1, most=1_000)


class Concentration(ActTask[ConcentrationSettings]):
    """2 p covered tiles hide p pairs of colors; touch two a turn, and find as many pairs as possible.

    The card game with an arm: what was seen has to be kept while more is seen.

    **Episode.** 2 p tiles stand on a ring around the hand, two of each of p colors, in random order, covered. The first
    touch of a turn turns a tile up, and it stays so; the second turns up another. What a touch has turned up is seen
    for 2 control steps (20 a second), in which the hand is held. Then comes a dock: for ``dock_steps`` control steps it
    is dark and actions have no effect; after it the hand is at rest at its home, with fresh noise. Two equal tiles are
    taken off the table, and what is left is dealt anew, so that each pair is a search of its own. Two unequal tiles are
    covered again. The episode terminates with success once all pairs are found, and else after R ``turns``, or when
    nothing is touched within ``query_steps`` of an act.

    **Observation** (2 p (p + 1) + 4, float32). p numbers for each tile, counter-clockwise from the one ahead: 1 for its
    color while it is open, all 0 while it is covered or gone; then 1 for each tile that can be touched; then the go
    light, on while the hand is free; the last three: position of the fingertip relative to the middle of the workspace
    at a height of 0.10 m, in units of 0.25 m. With ``control="joint"`` the joint angles follow, scaled to their ranges.
    All are 0 in a dock. With ``cue="always"`` the color of a tile is shown from the time that it was seen on, until
    tiles are dealt anew.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** +1 for each pair, +0.2 for turning up a tile that was not seen since the last deal, -0.01 for each
    control step in which the hand is free, and up to 0.1 for coming near any tile that can be touched, anew in each
    act. The score is the fraction of the p pairs that were found.

    **Memory.** What is under up to 2 p - 1 tiles, log2 p bits each, written one after the other and carried through all
    docks until a pair is found.

    **Ceilings.** Without memory: with m pairs left, the second tile of a turn is the partner of the first with
    probability 1/(2m - 1), and the score follows by counting turns (0.531 for 3 pairs in 6 turns, 0.373 for 4 in 8).
    Proof: what is seen at the start of a turn is the same whatever was tried since the last deal, but for noise that is
    drawn anew for each act. So each turn of a search succeeds with the same probability f, which depends on the policy
    and on the deal alone; given the first tile and its color, each other covered tile is equally likely to be its
    partner, so that the mean of f over deals is 1/(2m - 1) for any policy. A search lasts longer than t turns with
    probability E[(1 - f)^t], which is least for a constant f (Jensen), as the uniform policy has it. Searches are dealt
    independently, and their lengths, each stochastically least for that policy, add up. The same holds for windows of
    at most ``dock_steps`` observations. Oracle: the best policy with a perfect memory, by dynamic programming over the
    number of tiles known (1.000 and 0.980 there): turn up an unknown tile, then its partner if that is known, else
    another unknown one. With ``guard="none"`` the hand stays where it is after a touch, so that its place tells what
    it has done.
    """

    derived: ClassVar[tuple[str, ...]] = ("seen_color", "next_tile")
    Settings: ClassVar[type[ConcentrationSettings]] = ConcentrationSettings
    settings: ConcentrationSettings

    def __init__(
        self, settings: ConcentrationSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        p = settings.pairs
        self.names = tuple(scenery.COLORS)[:p]
        self.cue_names = tuple(f"{name} ahead" for name in self.names)
        self.color = np.zeros((num_envs, 2 * p), dtype=np.int64)
        """[N, 2 p] the color of each tile; privileged."""
        self.paired = np.zeros((num_envs, 2 * p), dtype=np.bool_)
        """[N, 2 p] whether a tile's pair was found."""
        self.known = np.zeros((num_envs, 2 * p), dtype=np.bool_)
        """[N, 2 p] whether a tile was seen since the last deal."""
        self.turned = np.full((num_envs, 2), _UNKNOWN)
        """[N, 2] the tiles turned up in this turn, -1 before."""
        self._deal_seeds = np.zeros(num_envs, dtype=np.int64)
        self._tiles: list[list[tuple[Prop, Prop]]] = []
        tiles = range(2 * p)
        signals = (
            *(f"tile {tile} is {name}" for tile in tiles for name in self.names),
            *(f"tile {tile} can be touched" for tile in tiles),
            "go light",
        )
        half = (half_width(2 * p), half_width(2 * p), _THICK)
        super().__init__(settings, num_envs, signals=signals, boxes=2 * p, half=half, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: ConcentrationSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        p, turns = settings.pairs, settings.turns
        value = memoryless_pairs(p, turns) / p
        oracle = Ceiling(perfect_pairs(p, turns) / p, "turn up an unknown tile, then its partner or another unknown")
        usual = settings.dock_steps + SHOW_STEPS + USUAL_STEPS
        return TaskSpec(
            memory="own finds",
            memory_length=(settings.dock_steps, (2 * turns - 1) * usual),
            credit_length=(1, settings.query_steps),
            n_bits=(2 * p - 1) * math.log2(p),
            metric="score",
            random=Ceiling(value, "no better than touching covered tiles uniformly; at most, since it may touch none"),
            memoryless=Ceiling(oracle.value, "tiles that were seen are shown")
            if settings.cue == "always"
            else Ceiling(value, f"a second tile is the first one's partner once in 2 m - 1, of m pairs; {turns} turns"),
            oracle=oracle,
            guarantees=(),
        )

    @property
    def num_cues(self) -> int:
        """p, one for each color that the tile ahead may have in the first deal."""
        return self.settings.pairs

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the order of the tiles. See :meth:`ActTask.deal`."""
        self._deal_seeds[index] = rng.integers(2**62)
        self.color[index] = np.repeat(np.arange(self.num_cues), 2)
        self.paired[index] = False
        self.turned[index] = _UNKNOWN
        self._shuffle(index)
        if cue is not None:  # two colors change places
            first, color = int(self.color[index, 0]), self.color[index].copy()
            self.color[index, color == first], self.color[index, color == cue] = cue, first
        self.cue[index] = self.color[index, 0]

    def touchable(self, index: int) -> Indices:
        """Return the covered tiles. See :meth:`ActTask.touchable`."""
        return np.flatnonzero(self._covered()[index])

    def open(self, indices: Indices, boxes: Ints, step: Step) -> None:
        """Turn up tiles. See :meth:`ActTask.open`."""
        first = self.acts[indices] % 2 == 1
        self.turned[indices[first]] = _UNKNOWN
        step.reward[indices[~self.known[indices, boxes]]] += _NEW
        self.turned[indices, np.where(first, 0, 1)] = boxes
        self.known[indices, boxes] = True
        equal = ~first & (self.color[indices, boxes] == self.color[indices, self.turned[indices, 0]])
        alike = indices[equal]
        self.paired[alike[:, None], self.turned[alike]] = True
        step.reward[alike] += 1.0
        self.score[alike] += 1.0 / self.settings.pairs
        self.success[alike] = self.paired[alike].all(axis=1)
        over = self.success[indices] | (self.acts[indices] >= 2 * self.settings.turns)
        step.terminated[indices] = over

    def _begin_act(self, indices: Indices) -> None:
        """Cover what was turned up, and deal anew where a pair was found. See :class:`ActTask`."""
        for index in indices.tolist():
            if self.acts[index] and self.acts[index] % 2 == 0:
                found = bool(self.paired[index, self.turned[index, 0]])
                self.turned[index] = _UNKNOWN
                if found:
                    self._shuffle(index)
        super()._begin_act(indices)

    def wanted(self) -> Ints:
        """Return the tile that a player with a perfect memory touches next. See :meth:`ActTask.wanted`."""
        return np.array([self._next(index) for index in range(self.num_envs)])

    @property
    def seen_color(self) -> Ints:
        """[N, 2 p] the color of each tile that was seen since the last deal, -1 of those that were not or are gone."""
        return np.where(self.known, self.color, _UNKNOWN)

    @property
    def next_tile(self) -> Ints:
        """[N] the tile that a player with a perfect memory touches next."""
        return self.wanted()

    def signals(self) -> Floats:
        """Return the colors that are seen, what can be touched, and the go light [N, 2 p (p + 1) + 1]."""
        p = self.settings.pairs
        colors = np.eye(p)[self.color] * self._seen()[:, :, None]
        covered = self._covered() & (self.phase == QUERY)[:, None]
        go = (self.phase == QUERY)[:, None]
        return np.concatenate((colors.reshape(self.num_envs, -1), covered, go), axis=1).astype(np.float64)

    def build_props(self, client: int) -> None:
        """Put covered tiles and their open faces into one more world."""
        super().build_props(client)
        half = half_width(2 * self.settings.pairs)
        shape = (half, half, _THICK)
        self._tiles.append(
            [
                (Prop(client, [parts.box(shape, scenery.MAT)]), Prop(client, [parts.box(shape, scenery.RIM)]))
                for _ in self.slots
            ]
        )

    def draw(self, index: int) -> None:
        """Show tiles covered or open. See :meth:`MemoryTask.draw`."""
        super().draw(index)
        seen = self._seen()[index]
        gone = self.paired[index] & ~seen
        for tile, (x, y, yaw) in enumerate(self.slots.tolist()):
            cover, face = self._tiles[index][tile]
            if gone[tile]:
                cover.park()
                face.park()
                continue
            shown, hidden = (face, cover) if seen[tile] else (cover, face)
            color = scenery.COLORS[self.names[self.color[index, tile]]] if seen[tile] else scenery.MAT
            hidden.park()
            shown.show(x, y, _THICK, yaw=yaw, color=color)

    def _shuffle(self, index: int) -> None:
        """Deal the covered tiles of one table anew, in an order that the seed and the number of the act determine."""
        rng = np.random.default_rng([int(self._deal_seeds[index]), int(self.paired[index].sum())])
        covered = np.flatnonzero(~self.paired[index])
        self.color[index, covered] = self.color[index, rng.permutation(covered)]
        self.known[index] = False

    def _covered(self) -> Bools:
        """Return which tiles can be touched, [N, 2 p]."""
        covered = ~self.paired
        half = np.flatnonzero(self.turned[:, 0] >= 0)
        covered[half, self.turned[half, 0]] = False
        return covered

    def _seen(self) -> Bools:
        """Return the tiles whose color is seen, [N, 2 p]."""
        seen = np.zeros_like(self.paired)
        for place in range(2):
            turned = np.flatnonzero(self.turned[:, place] >= 0)
            seen[turned, self.turned[turned, place]] = True
        return seen | self.known if self.settings.cue == "always" else seen

    def _next(self, index: int) -> int:
        """Return the tile that is best touched next on one table, from what was seen alone."""
        color, known, covered = self.color[index], self.known[index], self._covered()[index]
        first = int(self.turned[index, 0])
        unknown = np.flatnonzero(covered & ~known)
        if first >= 0 and self.phase[index] == QUERY:
            partner = np.flatnonzero(covered & known & (color == color[first]))
            choice = partner if len(partner) else unknown if len(unknown) else np.flatnonzero(covered)
            return int(choice[0]) if len(choice) else first
        for tile in np.flatnonzero(covered & known).tolist():
            if np.count_nonzero(covered & known & (color == color[tile])) == 2:
                return int(tile)
        return int(unknown[0]) if len(unknown) else 0


@cache
def memoryless_pairs(pairs: int, turns: int) -> float:
    """Return the mean number of pairs that are found in so many turns without memory."""
    if not pairs or not turns:
        return 0.0
    hit = 1.0 / (2 * pairs - 1)
    return hit * (1.0 + memoryless_pairs(pairs - 1, turns - 1)) + (1.0 - hit) * memoryless_pairs(pairs, turns - 1)


@cache
def perfect_pairs(pairs: int, turns: int, known: int = 0) -> float:
    """Return the mean number of pairs that are found in so many turns with a perfect memory.

    Args:
        pairs: m, pairs left.
        turns: Turns left.
        known: s, tiles that were seen since the last deal, of different colors.
    """
    if not pairs or not turns:
        return 0.0
    unknown = 2 * pairs - known
    found = 1.0 + perfect_pairs(pairs - 1, turns - 1)
    # the first tile is unknown; its partner is known, or under one of the other unknown tiles
    value = known / unknown * found
    if unknown > known:
        others = unknown - 1
        next_turn = found_later(pairs, turns - 1)
        fresh = (others - 1 - known) / others
        missed = fresh * perfect_pairs(pairs, turns - 1, known + 2) if fresh else 0.0
        value += (1.0 - known / unknown) * (found / others + known / others * next_turn + missed)
    return value


def found_later(pairs: int, turns: int) -> float:
    """Return what follows when both tiles of a pair are known as a turn begins."""
    return 1.0 + perfect_pairs(pairs - 1, turns - 1) if turns else 0.0
