"""The page as a person uses it: in a browser, by mouse and by key, wide and narrow."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="needs jinja2: pip install '.[report]'")
sys.path.insert(0, str(Path(__file__).resolve().parent))
from browser import Browser, find_browser
from planted_page import EVIL, picture, planted_page

from jpeg_preproc.report.page import Gallery, render_page
from jpeg_preproc.study.gallery import MAX_BYTES

SLIDER = "document.querySelector('img-comparison-slider')"
WIDTHS = pytest.mark.parametrize("width", [390, 1440])


@pytest.fixture(scope="module")
def browser():
    program = find_browser()
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with Browser(program) as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory, photo) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(planted_page(photo, pictures=6)))
    return path


@pytest.fixture
def tab(browser, file, width):
    """The page, opened; afterwards it has asked for nothing and complained of nothing."""
    opened = browser.open(file, width)
    yield opened
    assert [url for url in opened.requests() if not url.startswith(("blob:", "data:"))] == [
        file.as_uri()
    ]
    assert opened.complaints() == []
    assert opened.run("document.documentElement.scrollWidth") <= opened.run("innerWidth")


@WIDTHS
def test_the_slider_is_dragged_by_mouse_and_by_key(tab, width):
    tab.until(f"{SLIDER} && {SLIDER}.classList.contains('rendered')")
    assert tab.run(f"{SLIDER}.value") == 50
    assert tab.run(f"{SLIDER}.getBoundingClientRect().height") > 100
    tab.drag("img-comparison-slider", width / 5)
    moved = tab.run(f"{SLIDER}.value")
    assert moved > 55
    tab.run(f"{SLIDER}.focus()")
    tab.key("ArrowLeft", lambda: tab.until(f"{SLIDER}.value < {moved}"))
    assert tab.run(f"{SLIDER}.getAttribute('aria-valuenow')") == str(
        round(tab.run(f"{SLIDER}.value"))
    )


@WIDTHS
def test_pairs_marks_and_crops_are_shown(tab, width):
    images = "[...document.querySelectorAll('.frame img, .crop img')]"
    tab.until(f"{images}.length && {images}.every(one => one.complete && one.naturalWidth > 0)")
    assert tab.run("document.querySelectorAll('.crop').length") == 3
    boxes = "[...document.querySelectorAll('.frame rect:not(.halo)')]"
    states = f"{boxes}.map(one => one.getAttribute('class'))"
    assert set(tab.run(states)) == {"kept", "lost", "regained", "added"}
    tab.run("document.querySelector('input[value=\"original restored\"]').click()")
    assert tab.run("document.getElementById('tag-left').textContent") == "original"
    tab.click("#marks")
    hidden = "getComputedStyle(document.querySelector('.frame svg')).visibility"
    assert tab.run(hidden) == "hidden"


@WIDTHS
def test_a_table_is_sorted(tab, width):
    names = "[...document.querySelectorAll('#classes tbody th')].map(one => one.textContent)"
    head = "#classes thead th:nth-child({}) button"
    assert tab.run(names) == ["ant", "detector", "zebra"]
    tab.click(head.format(3))
    assert tab.run(names) == ["ant", "zebra", "detector"]
    tab.click(head.format(3))
    assert tab.run(names) == ["detector", "zebra", "ant"]
    tab.click(head.format(4))  # what has no figure comes last, both ways
    assert tab.run(names) == ["zebra", "ant", "detector"]
    tab.run(f"document.querySelector('{head.format(1)}').focus()")
    tab.key("Enter")
    assert tab.run(names) == ["ant", "detector", "zebra"]
    sorted_by = "[...document.querySelectorAll('#classes th[aria-sort]')].map(one => one.ariaSort)"
    assert tab.run(sorted_by) == ["ascending"]


@WIDTHS
def test_a_curve_is_switched_off_and_on_and_the_axis_changed(tab, width):
    plot = "document.querySelector('[data-chart]').plot"
    shown = f"{plot}.series.map(one => one.show)"
    assert all(tab.run(shown))
    assert tab.run(f"{plot}.bands.length") == 2
    tab.click(".legend li:nth-child(2) button")
    assert tab.run(shown) == [True, True, False, False, False, True, True, True]
    pressed = "document.querySelector('.legend li:nth-child(2) button').ariaPressed"
    assert tab.run(pressed) == "false"
    tab.run("document.querySelector('.legend li:nth-child(2) button').focus()")
    tab.key("Enter")
    assert all(tab.run(shown))
    assert tab.run(f"{plot}.scales.x.distr") == 1
    tab.click(".chart .check input")
    assert tab.run(f"{plot}.scales.x.distr") == 3
    tab.run(
        "const s = document.querySelector('.chart select'); s.value = '1'; "
        "s.dispatchEvent(new Event('change'))"
    )
    assert tab.run(f"{plot}.axes[0].label") == "bits per pixel"


@WIDTHS
def test_the_gallery_is_filtered_and_walked_by_key(tab, width):
    shown = "document.querySelectorAll('.strip [role=option]').length"
    choose = (
        "const one = document.getElementById('filter-{0}'); one.value = {1!r}; "
        "one.dispatchEvent(new Event('change'))"
    )
    assert tab.run(shown) == 6
    tab.run("{" + choose.format("kind", "harmed") + "}")
    assert tab.run(shown) == 3
    assert tab.run("document.getElementById('filter-count').textContent") == "3 of 6 images"
    tab.run("{" + choose.format("kind", "") + "}")
    tab.run("{" + choose.format("class", "detector") + "}")
    assert tab.run(shown) == 1
    tab.run("{" + choose.format("kind", "harmed") + "}")
    assert tab.run(shown) == 0
    assert tab.run("document.getElementById('viewer').hidden")
    tab.run("{" + choose.format("kind", "") + "}")
    tab.run("{" + choose.format("class", "") + "}")
    name = "document.getElementById('viewer-name').textContent"
    assert tab.run(name) == "0.jpg"
    tab.run("document.getElementById('strip').focus()")
    tab.key("ArrowRight")
    assert tab.run(name) == "1.jpg"
    tab.key("End")
    assert tab.run(name) == "5.jpg"
    tab.click(".strip [role=option]:nth-child(3)")
    assert tab.run(name) == "2.jpg"


@WIDTHS
def test_the_theme_is_switched(tab, width):
    background = "getComputedStyle(document.body).backgroundColor"
    before = tab.run(background)
    tab.click("#theme")
    assert tab.run(background) != before
    tab.click("#theme")
    assert tab.run(background) == before


def test_no_name_runs_a_script(browser, tmp_path, photo):
    path = tmp_path / "evil.html"
    path.write_text(render_page(planted_page(photo, name=EVIL)))
    tab = browser.open(path, 390)
    tab.until("document.querySelectorAll('.frame img').length")
    assert tab.run("document.title") == f"A planted study of {EVIL}"
    assert tab.run("document.querySelector('[onerror]')") is None
    assert tab.complaints() == []


def test_without_scripts_there_are_figures_and_tables(browser, tmp_path, photo):
    page = planted_page(photo)
    plot = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
    path = tmp_path / "plain.html"
    path.write_text(render_page(page.__class__(**{**vars(page), "plot": plot})))
    tab = browser.open(path, 390)
    tab.send("Emulation.setScriptExecutionDisabled", value=True)
    tab.reload()
    document = tab.send("DOM.getDocument", depth=-1)["root"]["nodeId"]
    for selector in ("noscript img.plot", "#figures table.paper tbody tr"):
        assert tab.send("DOM.querySelector", nodeId=document, selector=selector)["nodeId"], selector


def test_the_largest_page_is_small_and_quick(browser, tmp_path):
    rng = np.random.default_rng(0)
    pictures, taken = [], 0
    while taken < MAX_BYTES:  # what the gallery of however many images may come to
        noise = rng.integers(0, 256, (480, 640, 3), np.uint8)
        pictures.append(picture(len(pictures), bool(len(pictures) % 2), ("ant",), noise))
        taken += sum(len(view.data) + len(view.mask) for view in pictures[-1].views)
    page = planted_page(noise, pictures=0)
    path = tmp_path / "large.html"
    gallery = Gallery("", tuple(pictures[:-1]))
    path.write_text(render_page(page.__class__(**{**vars(page), "gallery": gallery})))
    assert 10e6 < path.stat().st_size < 20e6
    tab = browser.open(path, 1440, metrics=True)
    tab.until("document.querySelectorAll('.frame img').length")
    metrics = {one["name"]: one["value"] for one in tab.send("Performance.getMetrics")["metrics"]}
    # CPU seconds of the page's own thread, whatever else this machine is doing.
    assert 0 < metrics["TaskDuration"] < 2
