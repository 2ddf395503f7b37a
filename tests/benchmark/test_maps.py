"""Maps of memory length and credit length are made of agents trained and tested at both, and read without colors."""

import pytest
from tables import invent

from rlmem.benchmark.figures import write_figures
from rlmem.benchmark.maps import length_maps
from rlmem.benchmark.suite import suite_from
from rlmem.benchmark.table import read_rows
from rlmem.report.benchmark import benchmark_page
from rlmem.report.content import Table
from rlmem.report.page import render_page

SUITE = {
    "name": "credit",
    "seeds": 2,
    "task": [
        {
            "env": "TMazeActive-v0",
            "knobs": {"robot": "planar"},
            "grid": {"memory_length": [[5, 10], [5, 50]], "credit_length": [1, 100]},
        },
        {"env": "TMaze-v0", "test": {"memory_length": [20, 50]}},
    ],
    "agent": [{"agent": "recurrent_ppo"}],
}


def skill(job, knobs, rng):
    """The later it is paid, the less is learnt."""
    return 0.9 - 0.006 * knobs.get("credit_length", 1) - 0.1 * job.settings.seed


@pytest.fixture
def folder(tmp_path):
    invent(suite_from(SUITE).jobs(), tmp_path, skill)
    return tmp_path


def test_a_map_has_the_longest_lengths_of_training_and_means_over_runs(folder):
    rows = read_rows(folder / "results.csv")
    (found,) = length_maps(rows)
    assert (found.agent, found.task) == ("recurrent_ppo", "TMazeActive-v0")
    assert (found.scores.x, found.scores.y) == ([10.0, 50.0], [1.0, 100.0])
    assert found.scores.values.ravel().tolist() == pytest.approx([0.844, 0.844, 0.25, 0.25])
    one_way = [row for row in rows if '"credit_length": 1,' in row["test_knobs"]]
    assert not length_maps(one_way)
    assert [path.name for path in write_figures(rows, folder, kinds=("maps",))] == [
        "memory-credit-recurrent-ppo-tmazeactive-v0.png"
    ]


def test_the_page_of_a_benchmark_shows_it_as_a_table_with_numbers(folder):
    page = benchmark_page(folder)
    (section,) = [section for section in page.sections if section.title == "Memory length and credit length"]
    (table,) = section.tables
    assert table.head == ["credit length", "memory 10", "memory 50"]
    assert [row[0] for row in table.rows] == ["100", "1"]
    assert [row[1:] for row in table.rows] == [["0.25", "0.25"], ["0.84", "0.84"]]
    text = render_page(page)
    assert text.count("data-shade>") == 4
    assert 'style="--shade:25%" data-shade>0.25</td>' in text


def test_shades_must_be_one_a_cell():
    with pytest.raises(ValueError, match="shades must be 1 rows of 2"):
        Table(title="x", head=["a", "b", "c"], rows=[["1", "2", "3"]], shades=[[0.5]])
    empty = Table(title="x", head=["a", "b"], rows=[["1", ""]], shades=[[None]])
    assert empty.shades[0][0] is None
