"""Videos, overlays and contact sheets: what is in the files, and that no half-written file is left."""

import itertools
import re
import subprocess
import sys

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image, ImageChops

import rlmem  # noqa: F401 - registers the tasks
from rlmem.figures.overlay import Overlay, _Pen, draw_overlay
from rlmem.figures.recording import describe_action, describe_cue, record, record_side_by_side
from rlmem.figures.video import VideoWriter, contact_sheet

FULL = Overlay(
    title="TMaze-v0",
    subtitle="recurrent PPO",
    phase="delay",
    step=123,
    reward=-0.5,
    speed="x10",
    cue="left",
    note="surprise 0.10",
    action={"throttle": 0.5, "steering": -1.0},
    belief={"left": 0.9, "right": 0.1},
    success=True,
)


class Corridor(gymnasium.Env):
    """A cue for two steps, a delay, a query of two; the picture's gray is the step."""

    observation_space = spaces.Box(0, 1, (1,))
    action_space = spaces.Box(-2, 2, (2,))
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, delay=5, size=(64, 96), render_mode="rgb_array"):
        self.render_mode, self.delay, self.size, self.t = render_mode, delay, size, 0

    def _tell(self):
        phase = "cue" if self.t < 2 else "delay" if self.t < 2 + self.delay else "query"
        return np.zeros(1, dtype=np.float32), {"phase": phase}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._tell()

    def step(self, action):
        self.t += 1
        observation, info = self._tell()
        ended = self.t >= self.delay + 4
        return observation, 1.0, ended, False, info | ({"is_success": True} if ended else {})

    def render(self):
        return np.full((*self.size, 3), self.t % 256, dtype=np.uint8)


class Constant:
    """Counts its calls in its state and keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.calls.append((observation.shape, state, episode_start.tolist(), deterministic))
        return np.zeros((1, 2), dtype=np.float32), 1 if state is None else state + 1


class Expert:
    """The task's scripted expert."""

    def __init__(self, env):
        self.env = env

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.env.unwrapped.expert_action()[None], state


def picture(width=640, height=360, value=128):
    return np.full((height, width, 3), value, dtype=np.uint8)


def read_video(path):
    """Return what ffmpeg says of a video's stream, and its frames."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    stream = re.search(r"Video: (.*)", done.stderr.decode()).group(1)
    width, height = map(int, re.search(r", (\d+)x(\d+)", stream).groups())
    return stream, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def read_first(path):
    with Image.open(path) as image:
        return image.convert("RGB")


# --- overlay


def test_an_empty_overlay_changes_nothing():
    np.testing.assert_array_equal(draw_overlay(picture(), Overlay()), picture())


@pytest.mark.parametrize("size", [(640, 360), (480, 270), (1280, 720), (333, 201), (500, 500)])
def test_an_overlay_writes_top_and_bottom_and_leaves_the_middle_where_the_robot_is(size):
    image = picture(*size)
    drawn = draw_overlay(image, FULL)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    rows = np.flatnonzero((drawn != image).any(axis=(1, 2))) / size[1]
    assert rows.min() == 0
    assert rows.max() > 0.98
    assert not ((rows > 0.42) & (rows < 0.78)).any()
    np.testing.assert_array_equal(image, picture(*size))


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "query"},
        {"step": 124},
        {"reward": 0.5},
        {"cue": "right"},
        {"action": {"throttle": 0.5, "steering": 1.0}},
        {"action": "left"},
        {"action": {f"joint {i}": 0.1 * i for i in range(7)}},
        {"belief": {"left": 0.1, "right": 0.9}},
        {"belief": {f"arm {i}": 0.1 for i in range(9)}},
        {"note": "surprise 0.90"},
        {"success": False},
        {"speed": ""},
        {"work": (2.0, 3.0)},
    ],
)
def test_each_field_of_an_overlay_is_seen(change):
    other = Overlay(**{**FULL.__dict__, **change})
    assert (draw_overlay(picture(), FULL) != draw_overlay(picture(), other)).any()


def test_long_words_are_cut_and_odd_numbers_drawn():
    words = "word " * 100
    overlay = Overlay(
        title=words,
        subtitle=words,
        phase="cue",
        cue=words,
        note=words,
        action={"x": float("nan"), "y": 9.0},
        belief={words: 2.0, "b": float("nan")},
    )
    assert draw_overlay(picture(480, 270), overlay).shape == (270, 480, 3)


@pytest.mark.parametrize("size", [(640, 360), (480, 270), (320, 180), (240, 200), (160, 90), (64, 64)])
@pytest.mark.parametrize("action", [{"throttle": 0.5, "steering": -1.0}, {f"joint {i}": 0.5 for i in range(7)}, "left"])
@pytest.mark.parametrize("belief", [{}, {"left": 0.1, "middle": 0.2, "right": 0.7}])
def test_no_caption_stands_over_another_or_over_the_edge_of_the_picture(size, action, belief, monkeypatch):
    places = []

    def write(pen, x, middle, text, *style, write=_Pen.text, **options):
        end = write(pen, x, middle, text, *style, **options)
        places.append((x, middle - pen.size / 2, end, middle + pen.size / 2, text))
        return end

    monkeypatch.setattr(_Pen, "text", write)
    numbers = {"title": "RememberSequence-v0", "step": 1234, "reward": -12.34, "work": (12.0, 15.0)}
    draw_overlay(
        picture(*size),
        Overlay(**{**FULL.__dict__, **numbers, "speed": "slow motion", "action": action, "belief": belief}),
    )
    seen = [place for place in places if place[2] > place[0]]  # what there is no room for is cut to nothing
    assert {text for *_, text in seen} >= {"DELAY", "✓  success"}
    for left, top, right, bottom, text in seen:
        assert 0 <= left < right <= size[0], text
        assert 0 <= top < bottom <= size[1], text
    for one, other in itertools.combinations(seen, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)


def test_an_overlay_wants_a_color_picture():
    with pytest.raises(ValueError, match=r"\[height, width, 3\] of uint8"):
        draw_overlay(np.zeros((4, 4, 3)), FULL)


# --- video files


def test_an_mp4_is_h264_in_yuv420p_of_even_size_with_all_frames(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 20) as video:
        for value in (0, 100, 200):
            video.add(picture(65, 49, value), repeat=5)
    stream, frames = read_video(path)
    assert stream.startswith("h264")
    assert "yuv420p" in stream
    assert "20 fps" in stream
    assert frames.shape[1:] == (50, 66, 3)
    assert len(frames) == video.frames == 15
    assert [round(float(frame.mean()), -1) for frame in frames[::5]] == [0, 100, 200]


def test_a_gif_keeps_times_and_colors(tmp_path):
    path = tmp_path / "clip.GIF"
    colors = [(250, 20, 20), (20, 250, 20), (20, 20, 250)]
    with VideoWriter(path, 30) as video:
        for color in colors:
            video.add(np.full((40, 60, 3), color, dtype=np.uint8), repeat=10)
    seen, total = [], 0
    with Image.open(path) as gif:
        for index in range(gif.n_frames):
            gif.seek(index)
            total += gif.info["duration"]
            seen.append(gif.convert("RGB").getpixel((30, 20)))
    assert total == 1000
    assert np.abs(np.array(seen, dtype=int) - colors).max() < 8


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, ending):
    path = tmp_path / f"clip.{ending}"
    path.write_bytes(b"old")

    def write(*frames):
        with VideoWriter(path) as video:
            for frame in frames:
                video.add(frame)

    with pytest.raises(ValueError, match="at least one frame"):
        write()
    with pytest.raises(ValueError, match="size of the first"):
        write(picture(64, 48), picture(66, 48))
    with pytest.raises(ValueError, match="of uint8"):
        write(picture(64, 48), np.zeros((48, 64, 3)))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("clip.avi", ValueError, ".mp4, .gif or .webp, got"),
        ("clip", ValueError, ".mp4, .gif or .webp, got"),
        ("missing/clip.mp4", ValueError, "make it first"),
    ],
)
def test_a_wrong_path_is_told_before_anything_runs(tmp_path, name, error, message):
    policy = Constant()
    with pytest.raises(error, match=message):
        record(Corridor(), policy, tmp_path / name)
    assert not policy.calls


# --- recording


def test_a_policy_is_called_as_stable_baselines3_does(tmp_path):
    policy = Constant()
    episodes = record(Corridor(delay=1), policy, tmp_path / "clip.mp4", episodes=2, seeds=7, deterministic=False)
    assert [call[1] for call in policy.calls] == [None, 1, 2, 3, 4] * 2
    assert [call[2] for call in policy.calls] == [[True], *[[False]] * 4] * 2
    assert {(call[0], call[3]) for call in policy.calls} == {((1, 1), False)}
    assert [(e.seed, e.steps, e.reward, e.success) for e in episodes] == [(7, 5, 5.0, True), (8, 5, 5.0, True)]


def test_a_cue_is_slow_the_result_stands_still_and_every_step_is_shown(tmp_path):
    path = tmp_path / "clip.mp4"
    record(Corridor(delay=6), Constant(), path, fps=10, cue_seconds=1.0, result_seconds=2.0)
    assert len(read_video(path)[1]) == 2 * 3 + 6 + 2 + 20


@pytest.mark.parametrize(("stated", "shown"), [(None, 20), (25, 25), (125, 50)])
def test_a_film_runs_in_the_real_time_of_its_environment(stated, shown, tmp_path):
    env = Corridor(delay=1)
    env.metadata = env.metadata | {"render_fps": stated}
    record(env, Constant(), tmp_path / "clip.mp4")
    assert f"{shown} fps" in read_video(tmp_path / "clip.mp4")[0]


def test_long_delays_are_shown_in_time_lapse(tmp_path):
    path = tmp_path / "clip.mp4"
    record(Corridor(delay=10_000), Constant(), path, cue_seconds=0, result_seconds=0)
    assert 250 < len(read_video(path)[1]) < 320
    record(Corridor(delay=100), Constant(), path, stride=10, cue_seconds=0, result_seconds=0)
    assert len(read_video(path)[1]) == 2 + 10 + 2 + 1


def test_an_episode_is_cut_after_max_steps_without_a_result(tmp_path):
    (episode,) = record(Corridor(delay=100), Constant(), tmp_path / "clip.mp4", max_steps=10)
    assert (episode.steps, episode.success) == (10, None)


def test_what_describe_returns_is_written_over_the_picture(tmp_path):
    def describe(observation, action, state):
        return {"belief": {"left": 0.5}, "gate": 0.25, "state": state}

    frames = []
    for number, told in enumerate((None, describe)):
        path = tmp_path / f"{number}.gif"
        record(Corridor(delay=1, size=(360, 640)), Constant(), path, describe=told)
        frames.append(read_first(path))
    assert ImageChops.difference(*frames).getbbox() is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, "at least 1"),
        ({"stride": 0}, "at least 1"),
        ({"episodes": 2, "seeds": [1]}, "a seed for each of 2 episodes"),
        ({"fps": 500}, "fps must be from 1 to 50"),
    ],
)
def test_wrong_arguments_are_told(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        record(Corridor(), Constant(), tmp_path / "clip.mp4", **arguments)
    with pytest.raises(ValueError, match='render_mode="rgb_array"'):
        record(Corridor(render_mode=None), Constant(), tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())


def test_an_expert_is_filmed_in_a_real_task_and_the_film_repeats_itself(tmp_path):
    frames = []
    for name in ("a.mp4", "b.mp4"):
        env = gymnasium.make(
            "rlmem/TMaze-v0", render_mode="rgb_array", memory_length=4, robot="planar", width=160, height=90
        )
        (episode,) = record(env, Expert(env), tmp_path / name, seeds=3, stride=4)
        assert describe_cue(env) in ("left", "right")
        assert set(describe_action(env, np.array([0.5, 1.0]))) == {"throttle", "steering"}
        env.close()
        assert episode.success
        frames.append(read_video(tmp_path / name)[1])
    np.testing.assert_array_equal(*frames)


def test_actions_are_scaled_to_their_bounds_and_others_said_in_words():
    assert list(describe_action(Corridor(), np.array([-2.0, 1.0])).values()) == [-1.0, 0.5]
    assert describe_action(gymnasium.make("CartPole-v1"), 1) == "1"
    assert describe_cue(Corridor()) is None


# --- contact sheets


def test_a_contact_sheet_shows_pictures_row_by_row(tmp_path):
    path = tmp_path / "sheet.png"
    contact_sheet([picture(40, 30, value) for value in (10, 20, 30)], path, columns=2, gap=4)
    sheet = np.asarray(read_first(path))
    assert sheet.shape == (64, 84, 3)
    assert [sheet[15, 20, 0], sheet[15, 64, 0], sheet[49, 20, 0], sheet[49, 64, 0]] == [10, 20, 30, 255]


def test_a_contact_sheet_wants_pictures_of_one_size(tmp_path):
    for frames in ([], [picture(40, 30), picture(41, 30)]):
        with pytest.raises(ValueError, match="pictures of one size"):
            contact_sheet(frames, tmp_path / "sheet.png")
    with pytest.raises(ValueError, match=r"must end in \.png"):
        contact_sheet([picture()], tmp_path / "sheet.jpg")
    with pytest.raises(ValueError, match="columns must be at least 1"):
        contact_sheet([picture()], tmp_path / "sheet.png", columns=0)


def test_recording_needs_no_simulator_no_torch_and_no_screen():
    code = (
        "import sys, rlmem.figures.recording, rlmem.figures.learning_curves; "
        "never = {'pybullet', 'torch', 'rlmem.envs', 'rlmem.agents', 'matplotlib.pyplot'}; "
        "print(sorted(never & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_policies_are_filmed_side_by_side_on_the_same_episodes(tmp_path):
    env = Corridor(size=(90, 120))
    found = record_side_by_side(env, {"a": Constant(), "b": Constant()}, tmp_path / "both.webp", seeds=[0, 1])
    assert [len(episodes) for episodes in found.values()] == [2, 2]
    assert [one.steps for one in found["a"]] == [one.steps for one in found["b"]]
    with Image.open(tmp_path / "both.webp") as film:
        assert film.size == (240, 90)
        assert film.n_frames > 1
