"""What a rollout holds, how it is cut into rows, and how rows become a grid that trains in one call.

A *row* is ``seq_len`` steps of one environment; a minibatch is some rows. Only the state at the start of each row is
kept. A row is cut where episodes start, and the pieces are laid out as the columns of a grid, as even as they fit, with
a blank before each episode that does not stand at the top: no step is computed twice, hardly one for nothing.

Axes: T time, N environments, R rows of a minibatch, S slots of a column, B columns.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.errors import UserError
from rlmem.networks.numpy_steps import ArrayState, FloatArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Observations = NDArray[Any] | dict[str, NDArray[Any]]
"""One array, or one for each key, all with the same leading axes."""


class Grid(NamedTuple):
    """Rows laid out for one call."""

    step: IntArray
    """[S, B] which step (t N + n) stands in each slot, -1 where none does."""
    blank: BoolArray | None
    """[S, B] where the state is emptied, or None if nowhere."""
    source: IntArray
    """[B] the row (index into the minibatch) whose state a column starts from, -1 for the start of an episode."""


class TerminalObservation(NamedTuple):
    """The last observation of an episode that was cut off."""

    t: int
    n: int
    observation: Observations


class Rollout:
    """Preallocated arrays [T, N] of a rollout; terminations and truncations apart.

    Args:
        n_steps: T.
        n_envs: N.
        seq_len: Steps of a row, a divisor of T.
        burn_in: Steps before a row over which its state is warmed up with the current weights.
        observations: An example of the observations of all environments, [N, ...].
        action_shape: Shape of one action.
        action_dtype: Type of the actions.
        output_size: P, the number of parameters of one action distribution.
    """

    def __init__(
        self,
        n_steps: int,
        n_envs: int,
        *,
        seq_len: int,
        burn_in: int,
        observations: Observations,
        action_shape: tuple[int, ...],
        action_dtype: type[np.generic],
        output_size: int,
    ) -> None:
        shape = (n_steps, n_envs)
        self.n_steps, self.n_envs, self.seq_len, self.burn_in = n_steps, n_envs, seq_len, burn_in
        self.observations: Observations = map_observations(
            lambda example: np.zeros((n_steps, *example.shape), example.dtype), observations
        )
        self.actions = np.zeros((*shape, *action_shape), action_dtype)
        self.outputs = np.zeros((*shape, output_size), np.float32)
        self.rewards, self.values, self.log_probs = (np.zeros(shape, np.float32) for _ in range(3))
        self.advantages, self.returns = (np.zeros(shape, np.float32) for _ in range(2))
        self.episode_start, self.terminated, self.truncated = (np.zeros(shape, bool) for _ in range(3))
        self.terminal: list[TerminalObservation] = []
        self.actor_states: ArrayState = ()
        self.critic_states: ArrayState = ()
        """Each part [K, N, ...]: the states before the steps ``state_times``."""
        self.state_times = [0, *range(seq_len - burn_in, n_steps - burn_in, seq_len)]

    def add(
        self,
        t: int,
        observations: Observations,
        episode_start: BoolArray,
        actions: NDArray[Any],
        outputs: FloatArray,
    ) -> None:
        """Write what is known of one step before the environments take it."""
        if t == 0:
            self.terminal = []
        if isinstance(self.observations, dict):
            for key, array in self.observations.items():
                array[t] = observations[key]
        else:
            self.observations[t] = observations
        self.episode_start[t], self.actions[t], self.outputs[t] = episode_start, actions, outputs
        self.terminated[t] = self.truncated[t] = False

    def end(self, t: int, n: int, terminal_observation: Observations | None) -> None:
        """Note that an episode ended with step ``t``: cut off if there is a terminal observation, else for good."""
        if terminal_observation is None:
            self.terminated[t, n] = True
        else:
            self.truncated[t, n] = True
            self.terminal.append(TerminalObservation(t, n, map_observations(np.array, terminal_observation)))

    def check_finite(self, first_step: int) -> None:
        """Raise a UserError if a reward or an observation is not finite.

        Args:
            first_step: Control steps that each environment had taken before the rollout.
        """
        observations = self.observations if isinstance(self.observations, dict) else {"": self.observations}
        for name, array in {"reward": self.rewards, **observations}.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                t, n, *_ = np.argwhere(~np.isfinite(array))[0].tolist()
                what = name if name == "reward" else f"observation {name}".strip()
                raise UserError(
                    f"the {what} of environment {n} at its control step {first_step + t} holds NaN or infinity: "
                    "nothing was learned from it; check the environment"
                )
        for terminal in self.terminal:
            parts = terminal.observation.values() if isinstance(terminal.observation, dict) else [terminal.observation]
            if not all(np.isfinite(part).all() for part in parts):
                raise UserError(
                    f"the last observation of an episode of environment {terminal.n}, after its control step "
                    f"{first_step + terminal.t}, holds NaN or infinity: check the environment"
                )

    @property
    def n_rows(self) -> int:
        """Rows in the whole rollout; row r is steps (r // N) seq_len onwards of environment r % N."""
        return self.n_steps // self.seq_len * self.n_envs

    def row_states(self, states: ArrayState, rows: IntArray) -> ArrayState:
        """Return the states kept for some rows [R], each part [R, ...]: at their start, or ``burn_in`` before it."""
        return tuple(part[rows // self.n_envs, rows % self.n_envs] for part in states)

    def burn_in_steps(self, rows: IntArray) -> IntArray:
        """Return the steps (t N + n) before some rows, [burn_in, R]; rows at t = 0 have none and may not be asked."""
        start = rows // self.n_envs * self.seq_len - self.burn_in
        return (start + np.arange(self.burn_in)[:, None]) * self.n_envs + rows % self.n_envs

    def grid(self, rows: IntArray) -> Grid:
        """Lay out some rows [R]."""
        first, env = rows // self.n_envs * self.seq_len, rows % self.n_envs
        starts = self.episode_start[first[:, None] + np.arange(self.seq_len), env[:, None]]
        return lay_out(starts, first * self.n_envs + env, self.n_envs)


def lay_out(starts: BoolArray, first_step: IntArray, stride: int) -> Grid:
    """Cut rows at episode starts and lay the pieces out as even columns.

    The longest piece sets the height; the others fill columns best-fit, longest first. A piece that continues an
    episode from before its row stands at the top of a column, where its state enters.

    Args:
        starts: [R, L] where an episode starts.
        first_step: [R] the number of each row's first step.
        stride: What the number of a step grows by with time.
    """
    row, _, size, continues = pieces = cut_rows(starts)
    column, top = fill_columns(size, continues)
    step, blank = make_grid(size, column, top, pieces.steps(first_step, stride))
    source = np.full(step.shape[1], -1, np.int64)
    source[column[continues]] = row[continues]
    return Grid(step, blank, source)


class Pieces(NamedTuple):
    """Rows cut at episode starts: P pieces in the order of rows, then of time."""

    row: IntArray
    """[P] the row of each piece."""
    begin: IntArray
    """[P] where in its row it begins."""
    size: IntArray
    """[P] its steps."""
    continues: BoolArray
    """[P] where its episode began before the row."""

    def steps(self, first_step: IntArray, stride: int) -> IntArray:
        """Return the numbers of all steps, one piece after the other, of rows that begin with ``first_step`` [R]."""
        within = np.arange(self.size.sum()) - np.repeat(np.cumsum(self.size) - self.size, self.size)
        steps: IntArray = np.repeat(first_step[self.row] + self.begin * stride, self.size) + within * stride
        return steps


def cut_rows(starts: BoolArray) -> Pieces:
    """Cut rows [R, L] where episodes start."""
    cut = starts.copy()
    cut[:, 0] = True
    row, begin = np.nonzero(cut)
    size = np.diff(np.append(row * starts.shape[1] + begin, starts.size))
    return Pieces(row, begin, size, ~starts[row, begin])


def fill_columns(size: IntArray, continues: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the column and the first slot of pieces [P], in columns as high as the longest of them."""
    order = np.lexsort((-size, ~continues))
    height = int(size.max())
    sizes, column, top = size.tolist(), np.empty(len(size), np.int64), np.empty(len(size), np.int64)
    room: list[tuple[int, int]] = []
    n_columns = 0
    for piece in order.tolist():
        need = sizes[piece] + 1
        at = len(room) if continues[piece] else bisect_left(room, (need, -1))
        if at == len(room):
            left, where = height, n_columns
            n_columns += 1
            need -= 1
        else:
            left, where = room.pop(at)
        column[piece], top[piece] = where, height - left + need - sizes[piece]
        left -= need
        room.insert(bisect_left(room, (left, where)), (left, where))
    return column, top


def make_grid(size: IntArray, column: IntArray, top: IntArray, numbers: IntArray) -> tuple[IntArray, BoolArray | None]:
    """Write the numbers of all pieces' steps, one piece after the other, into a grid.

    Returns:
        The grid [S, B], -1 where no step stands, and the blanks [S, B]: one before each piece that is not at the top.
    """
    step = np.full((int((top + size).max()), int(column.max()) + 1), -1, np.int64)
    within = np.arange(len(numbers)) - np.repeat(np.cumsum(size) - size, size)
    step[np.repeat(top, size) + within, np.repeat(column, size)] = numbers
    under = top > 0
    if not under.any():
        return step, None
    blank = np.zeros(step.shape, bool)
    blank[top[under] - 1, column[under]] = True
    return step, blank


def map_observations(function: Callable[[NDArray[Any]], Any], observations: Observations) -> Any:
    """Apply ``function`` to an array of observations, or to that of each key."""
    if isinstance(observations, dict):
        return {key: function(array) for key, array in observations.items()}
    return function(observations)


def joined_steps(observations: Observations) -> Any:
    """Join the first two axes [T, N] of observations into one."""
    return map_observations(lambda array: array.reshape(-1, *array.shape[2:]), observations)
