"""A page is one file that asks the network for nothing, and names in it stay text."""

import json
import re
from html.parser import HTMLParser

import pytest
from small import record_both_cues, small_page

from rlmem.benchmark.summary import summary
from rlmem.benchmark.table import write_rows
from rlmem.cli.main import main
from rlmem.report.benchmark import benchmark_page
from rlmem.report.page import render_page, write_page

NAME = "<script>alert('run')</script> & </table>"
VOID = {"meta", "link", "input", "br", "img"}


class Reader(HTMLParser):
    """Reads a page: which elements are open at its end, what it refers to, its JSON, its text."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.refers, self.data, self.text = [], [], [], "", ""
        self.tables = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        values = dict(attrs)
        self.refers += [values[name] for name in ("src", "href", "srcset", "action", "data") if values.get(name)]
        if tag not in VOID:
            self.open.append((tag, values))

    def handle_endtag(self, tag):
        assert self.open
        assert self.open[-1][0] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][1].get("id") == "data":
            self.data += data
        elif self.open and self.open[-1][0] not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def page():
    return small_page(record_both_cues()[0], NAME)


@pytest.fixture(scope="module")
def text(page):
    return render_page(page)


@pytest.fixture(scope="module")
def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


def test_every_element_is_closed(read):
    assert read.open == []
    assert {"table", "video", "figure", "noscript"} <= set(read.seen)


def test_nothing_is_asked_of_the_network(read, text):
    assert read.refers
    assert all(target.startswith("data:") for target in read.refers)
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(\s*['\"]?https?:|importScripts|XMLHttpRequest|fetch\(", text)


def test_names_are_text_and_never_markup(read, text):
    assert read.seen.count("script") == 2
    assert NAME not in text
    assert read.text.count(NAME) >= 5
    assert json.loads(read.data)["charts"][0]["title"] == NAME


def test_the_data_hold_every_chart_and_frame(read, page):
    data = json.loads(read.data)
    assert [chart["kind"] for chart in data["charts"]] == ["lines", "forest"]
    assert data["charts"][0]["lines"][0]["high"] == [1.0, 0.95, 0.6]
    for episode, recorded in zip(data["episodes"], page.player.episodes, strict=True):
        assert episode["frames"] == list(recorded.frames)
        assert {len(pane[name]) for pane in episode["panes"] for name in ("phase", "action", "belief")} == {
            len(recorded.frames)
        }


def test_videos_are_small_and_of_the_panes_one_above_the_other(page):
    for episode in page.player.episodes:
        assert episode.size == (96, 64)
        assert 1_000 < len(episode.video) < 2_000_000


def test_a_page_is_written_as_utf8(page, tmp_path):
    write_page(page, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


ROW = {
    "task": "TMaze-v0",
    "metric": "success",
    "value": "0.9",
    "low": "0.85",
    "high": "0.95",
    "memory_score": "0.8",
    "lesioned": "0.5",
    "lesioned_low": "0.4",
    "lesioned_high": "0.6",
    "memoryless": "0.5",
    "oracle": "1",
    "env_steps": "1000",
    "cpu_seconds": "2.5",
    "env": "rlmem/TMaze-v0",
    "name": "recurrent_ppo",
    "test_knobs": "{}",
    "information": "reward",
    "version": "0.1.0",
    "machine": "one",
    "memory_length": "0",
}


def bench_rows():
    rows = []
    for agent in ("recurrent_ppo", "ppo"):
        for seed in range(2):
            for length in (5, 10, 20):
                values = {
                    "agent": agent,
                    "seed": str(seed),
                    "test": f"memory_length {length}",
                    "cell": f"{agent}{seed}",
                }
                rows.append(ROW | values | {"memory_length": str(length)})
    return rows


def test_the_page_of_a_benchmark_and_its_summary_hold_the_same_tables(tmp_path):
    write_rows(tmp_path / "results.csv", bench_rows())
    page, said = benchmark_page(tmp_path), summary(bench_rows(), "Benchmark small")
    cells = [cell for section in page.sections for table in section.tables for row in table.rows for cell in row]
    listed = [cell.strip() for line in said.splitlines() if line.startswith("|") for cell in line.split("|")[1:-1]]
    heads = [cell for section in page.sections for table in section.tables for cell in table.head]
    dashes = [cell for cell in listed if cell and not cell.strip("-")]
    assert sorted(cells + heads + dashes) == sorted(listed)


def test_the_warning_of_few_runs_stands_before_all_numbers(tmp_path):
    rows = [row for row in bench_rows() if row["seed"] == "0"]
    write_rows(tmp_path / "results.csv", rows)
    said, html = summary(rows, "Benchmark small"), render_page(benchmark_page(tmp_path))
    assert said.startswith("# Benchmark small\n\n**With fewer than 5 runs an agent, intervals over runs are too narrow")
    assert said.count("fewer than 5 runs") == html.count("ewer than 5 runs") == 1
    assert html.index("With fewer than 5 runs") < html.index("<dl") < html.index("<table")


def test_no_warning_stands_over_five_runs(tmp_path):
    rows = [row | {"seed": str(seed), "cell": f"{row['cell']}-{seed}"} for row in bench_rows() for seed in range(5)]
    assert "fewer than" not in summary(rows, "Benchmark small")


def test_an_agent_that_is_not_on_all_tasks_is_named_below_the_table_and_not_at_the_end(tmp_path):
    write_rows(tmp_path / "results.csv", [*bench_rows(), bench_rows()[0] | {"agent": "late", "cell": "late"}])
    (section,) = [section for section in benchmark_page(tmp_path).sections if section.title == "All tasks together"]
    assert section.text == ["Not run on every task yet: late."]


def test_agents_have_one_order_on_all_tasks_in_whatever_order_their_runs_ended(tmp_path):
    first = [row | {"task": "first"} for row in bench_rows()]
    second = [row | {"task": "second", "cell": f"{row['cell']} again"} for row in reversed(bench_rows())]
    write_rows(tmp_path / "results.csv", [*first, *second])
    sections = {section.title: section for section in benchmark_page(tmp_path).sections}
    orders = [[row[0].split()[0] for row in sections[name].tables[0].rows] for name in ("first", "second")]
    assert orders == [["recurrent_ppo", "ppo"]] * 2


def test_a_run_that_stopped_early_keeps_its_last_value_in_the_mean(tmp_path):
    rows = [row | {"test": "", "memory_length": "5"} for row in bench_rows()[:6:3]]
    write_rows(tmp_path / "results.csv", rows)
    for row, points in zip(rows, ([(10, 1.0)], [(10, 0.0), (20, 0.5), (30, 1.0)]), strict=True):
        run = tmp_path / "runs" / "TMaze-v0" / row["name"] / row["cell"]
        run.mkdir(parents=True)
        lines = ["env_steps,cpu_seconds,eval/value", *(f"{steps},{steps},{value}" for steps, value in points)]
        (run / "progress.csv").write_text("\n".join(lines) + "\n")
    charts = [chart for section in benchmark_page(tmp_path).sections for chart in section.charts]
    (chart,) = [chart for chart in charts if chart.title == "Learning against environment steps"]
    (mean,) = [line for line in chart.lines if not line.faint]
    assert (mean.x[0], mean.y[0]) == (10, 0.5)
    assert (mean.x[-1], mean.y[-1]) == (30, 1.0)
    assert (mean.low[0], mean.high[0]) == (0.0, 1.0)


def test_a_benchmark_becomes_a_page_with_profiles_and_horizons(tmp_path, capsys):
    folder = tmp_path / NAME.replace("/", "")
    folder.mkdir()
    rows = bench_rows()
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    assert main(["report", str(folder)]) == 0
    assert "written to" in capsys.readouterr().out
    reader = Reader()
    reader.feed((folder / "report.html").read_text())
    charts = {chart["title"]: chart for chart in json.loads(reader.data)["charts"]}
    assert [line["label"] for line in charts["Tested at memory_length 20"]["lines"]][:2] == [
        "recurrent_ppo",
        "recurrent_ppo, state zeroed",
    ]
    assert charts["TMaze-v0"]["logarithmic"]
    assert charts["TMaze-v0"]["lines"][0]["x"] == [5.0, 10.0, 20.0]
    assert "Performance profiles" in charts
    assert reader.open == []
    assert reader.seen.count("script") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "First name the folder of a run"),
        (["--out", "x.html"], "First name the folder of a run"),
        (["nowhere"], "it is no folder"),
        (["{folder}"], "neither settings.toml nor results.csv"),
        (["{empty}"], "no rows yet"),
        (["{empty}", "--out", "x.pdf"], "must end in .html"),
    ],
)
def test_wrong_arguments_give_one_clear_message(arguments, said, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "results.csv").write_text("cell\n")
    filled = [word.format(folder=tmp_path, empty=tmp_path / "empty") for word in arguments]
    assert main(["report", *filled]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
