"""The Python in the README runs as it stands there, with fewer steps and the robot that is fast to simulate."""

import re
from pathlib import Path

import imageio_ffmpeg

FEWER = {"80_000": "2_048", '"memory_length": 10': '"memory_length": 5, "robot": "planar"', "episodes=3": "episodes=1"}
README = Path(__file__).parents[2] / "README.md"


def test_the_python_in_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        for words, fewer in FEWER.items():
            block = block.replace(words, fewer)
        exec(block, {})
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "rollout.mp4"))
    assert frames > 0
    assert seconds > 1
