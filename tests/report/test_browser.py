"""The page in a real browser: it is quiet, draws, plays, and is scrubbed by keys, slider and finger."""

import pytest
from browser import MISSING, Browser
from small import record_both_cues, small_page

from rlmem.report.page import write_page

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
RIGHT_KEY, LEFT_KEY, HOME, END, SPACE = "\ue014", "\ue012", "\ue011", "\ue010", " "


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(small_page(record_both_cues()[0]), path)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def desk(browser, page):
    browser.open(page, 1280, 900)
    browser.until("window.player.video.readyState >= 2")
    yield browser
    assert browser.complaints() == []


@pytest.fixture
def phone(browser, page):
    browser.open(page, 390, 844, touch=True, dark=True)
    browser.until("window.player.video.readyState >= 2")
    yield browser
    assert browser.complaints() == []


def frame(browser):
    return browser.run("return window.player.frame")


PIXELS = """
const pixels = (canvas) => {
  const copy = Object.assign(document.createElement('canvas'), {width: canvas.width, height: canvas.height});
  const pen = copy.getContext('2d', {willReadFrequently: true});
  pen.drawImage(canvas, 0, 0);
  return pen.getImageData(0, 0, canvas.width, canvas.height).data;
};
"""


def inked(browser, selector):
    """Return for each canvas how many pixels are painted."""
    return browser.run(
        f"{PIXELS} return [...document.querySelectorAll('{selector}')]"
        ".map((canvas) => pixels(canvas).filter((value, i) => i % 4 === 3 && value > 0).length)"
    )


def test_every_chart_and_timeline_is_drawn(desk):
    assert desk.run(
        "return [...document.querySelectorAll('.chart')].map((one) => one.querySelectorAll('.line').length)"
    ) == [1, 1]
    assert len(inked(desk, ".track canvas")) == 2 * 5
    assert min(inked(desk, ".track canvas")) > 100
    assert min(inked(desk, ".picture")) == 96 * 64


def test_it_plays_to_the_end_and_stops(desk):
    desk.press(SPACE)
    desk.until("window.player.frame > 3")
    assert desk.run("return document.querySelector('.play').textContent") == "Pause"
    desk.until("!window.player.playing")
    assert frame(desk) == desk.run("return window.player.last")


def test_keys_move_by_frames_and_the_slider_follows(desk):
    desk.press(RIGHT_KEY)
    desk.press(RIGHT_KEY, shift=True)
    assert frame(desk) == 11
    desk.press(LEFT_KEY)
    assert desk.run("return Number(document.querySelector('.transport input').value)") == 10
    desk.press(END)
    assert frame(desk) == desk.run("return window.player.last")
    desk.press(HOME)
    assert frame(desk) == 0


def test_the_slider_moves_everything(desk):
    desk.run(
        "const slider = document.querySelector('.transport input'); slider.value = 12;"
        "slider.dispatchEvent(new Event('input'))"
    )
    desk.until("!window.player.video.seeking")
    assert desk.run("return window.player.video.currentTime * window.player.episode.fps") == pytest.approx(12.5)
    lefts = desk.run("return [...document.querySelectorAll('.head')].map((head) => head.getBoundingClientRect().left)")
    tracks = desk.run("return [...document.querySelectorAll('.tracks')].map((one) => one.getBoundingClientRect().left)")
    assert lefts[0] - tracks[0] == pytest.approx(lefts[1] - tracks[1])
    assert "step 12 of" in desk.run("return document.querySelector('output').textContent")


def test_the_picture_shown_is_that_of_the_frame(desk):
    """Pictures of the two panes differ after the lesion, in the episode in which only the intact agent succeeds."""
    desk.run("window.player.choose(1); window.player.seek(0)")
    desk.until("window.player.video.readyState >= 2 && !window.player.video.seeking")
    same = (
        f"{PIXELS} const [a, b] = [...document.querySelectorAll('.picture')].map(pixels);"
        "return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length"
    )
    assert desk.run(same) < 1.0
    desk.run("window.player.seek(window.player.last)")
    desk.until("!window.player.video.seeking")
    desk.until("window.player.frame === window.player.last")
    assert desk.run(same) > 1.0


def test_a_finger_drags_the_playhead_and_the_page_is_no_wider_than_a_phone(phone):
    assert phone.run("return document.documentElement.scrollWidth <= window.innerWidth")
    phone.run("document.querySelector('.tracks').scrollIntoView({block: 'center'})")
    box = phone.run(
        "const box = document.querySelector('.tracks').getBoundingClientRect(); return [box.left, box.top, box.width]"
    )
    left, top, width = box
    phone.drag((left + 60, top + 40), (left + width - 2, top + 40))
    phone.until("window.player.frame === window.player.last")


def test_a_touch_target_is_large_enough_and_dark_is_dark(phone):
    heights = phone.run(
        "return [...document.querySelectorAll('#player button, select')].map((one) => one.offsetHeight)"
    )
    assert min(heights) >= 40
    paper = phone.run("return getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in paper.strip("rgb()").split(",")) < 60
