"""Learning curves: what is in the picture, and what cannot be drawn."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageChops

from rlmem.figures.learning_curves import plot_learning_curves


def run(slope, points=20):
    steps = np.arange(1, points + 1) * 1000.0
    return {"env_steps": steps, "cpu_seconds": steps / 100, "success": 0.5 + slope * steps}


@pytest.mark.parametrize("band", ["range", "interval"])
@pytest.mark.parametrize("x", ["env_steps", ("env_steps", "cpu_seconds")])
def test_learning_curves_are_drawn_at_150_dots_an_inch(tmp_path, band, x):
    path = tmp_path / "curves.png"
    curves = {"ours": [run(1e-5), run(2e-5), run(3e-5, 10)], "other": [run(0.0)]}
    plot_learning_curves(curves, path, x=x, memoryless=0.5, oracle=1.0, band=band, title="TMaze")
    with Image.open(path) as image:
        assert round(image.info["dpi"][0]) == 150
        assert image.size == (930 if x == "env_steps" else 1620, 600)
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_ceilings_and_lines_are_seen_in_the_plot(tmp_path):
    images = []
    for number, ceilings in enumerate(({}, {"memoryless": 0.5}, {"memoryless": 0.5, "oracle": 1.0})):
        plot_learning_curves({"a": [run(1e-5)]}, tmp_path / f"{number}.png", **ceilings)
        with Image.open(tmp_path / f"{number}.png") as image:
            images.append(image.convert("RGB"))
    assert all(ImageChops.difference(a, b).getbbox() for a, b in pairwise(images))


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({}, "no labels"),
        ({"a": []}, "no runs of 'a'"),
        ({"a": run(0.0)}, "must be a list"),
        ({"a": [{"env_steps": [1, 2]}]}, "no column 'success'; it has: env_steps"),
        ({"a": [{"env_steps": [], "success": []}]}, "no values"),
        ({"a": [{"env_steps": [1], "success": [float("nan")]}]}, "no values"),
        ({"a": [{"env_steps": [1, 2], "success": [1]}]}, "must be as long"),
        ({"a": [{"env_steps": [2, 1], "success": [1, 1]}]}, "must rise"),
        ({"a": [{"env_steps": ["x"], "success": [1]}]}, "must be numbers"),
        (
            {"a": [{"env_steps": [1, 2], "success": [1, 1]}, {"env_steps": [3, 4], "success": [1, 1]}]},
            "no part of the x axis in common",
        ),
    ],
)
def test_data_that_cannot_be_drawn_is_told(tmp_path, curves, message):
    with pytest.raises(ValueError, match=message):
        plot_learning_curves(curves, tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())
