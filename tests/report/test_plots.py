"""Plots: what is drawn, how it is labelled, and life without matplotlib."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.report.plots import plot_metric, spread

pytest.importorskip("matplotlib", reason="needs the [report] extra")


@dataclass(frozen=True)
class Row:
    """A point of a plot: what :class:`~jpeg_preproc.report.rows.PlottedRow` asks for."""

    line: str
    place: tuple[str, float] | None
    value: float | None
    table: tuple[str, ...] = ("coco", "mAP")
    around: float | None = None

    def columns(self):
        bounds = {}
        if self.around is not None:
            low, high = self.value - self.around, self.value + self.around
            bounds = {"value_low": low, "value_high": high}
        return {"restorer": self.line, "value": self.value, **bounds}


def row(restorer, strength, value, dataset="coco", axis="QF"):
    place = None if strength is None else (axis, strength)
    return Row(restorer, place, value, (dataset, "mAP"))


ROWS = [
    row("original", None, 28.3),
    *(row("jpeg", qf, value) for qf, value in ((40, 27.0), (10, 19.6))),
    *(row("base", qf, value) for qf, value in ((10, 25.9), (40, 28.1))),
]


@pytest.fixture
def figures(monkeypatch):
    """The figures drawn, caught as they are saved."""
    from matplotlib.figure import Figure

    caught = []
    save = Figure.savefig

    def spy(self, *args, **options):
        caught.append(self)
        return save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    return caught


def test_lines_labels_and_axes(tmp_path, figures):
    path = plot_metric(ROWS, "value", tmp_path / "new" / "p.png", "Title", "mAP")
    assert path == tmp_path / "new" / "p.png"
    assert [p.name for p in path.parent.iterdir()] == ["p.png"]
    with Image.open(path) as picture:
        assert min(picture.size) > 500
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    (axis,) = figures[0].axes
    original, jpeg, base = axis.lines
    assert original.is_dashed()
    assert set(original.get_ydata()) == {28.3}
    assert (list(jpeg.get_xdata()), list(jpeg.get_ydata())) == ([10, 40], [19.6, 27.0])
    assert (list(base.get_xdata()), list(base.get_ydata())) == ([10, 40], [25.9, 28.1])
    labels = {text.get_text(): text for text in axis.texts}
    assert set(labels) == {"original", "jpeg", "base"}
    assert labels["base"].get_color() == base.get_color()
    assert (axis.get_ylabel(), axis.get_title(loc="left")) == ("mAP", "coco · mAP")
    assert list(axis.get_xticks()) == [10, 40]


def test_labels_do_not_overlap_and_stay_on_the_page(tmp_path, figures):
    close = [row(f"restorer {i}", 10, 25 + i / 100) for i in range(6)]
    plot_metric([*close, row("jpeg", 10, 5.0)], "value", tmp_path / "p.png", "Close")
    boxes = [text.get_window_extent() for text in figures[0].axes[0].texts]
    boxes.sort(key=lambda box: box.y0)
    assert len(boxes) == 7
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    page = figures[0].bbox
    assert all(box.x1 <= page.x1 and box.y1 <= page.y1 and box.y0 >= 0 for box in boxes)


def test_one_panel_per_data_set_with_one_colour_per_restorer(tmp_path, figures):
    rows = [*ROWS, row("base", 10, 50.0, "voc"), row("other", 10, 51.0, "voc")]
    plot_metric(rows, "value", tmp_path / "p.svg", "Two")
    coco, voc = figures[0].axes
    assert voc.get_title(loc="left") == "voc · mAP"
    assert coco.lines[2].get_color() == voc.lines[0].get_color() != voc.lines[1].get_color()
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")


def test_one_panel_per_kind_of_corruption(tmp_path, figures):
    """The level line of the original is in each; one strength alone makes no panel."""
    webp = [row("corrupted", quality, 20.0 + quality / 10, axis="WebP") for quality in (20, 40)]
    alone = row("corrupted", 7, 20.0, axis="AVIF")
    plot_metric([*ROWS, *webp, alone], "value", tmp_path / "p.png", "Kinds")
    jpeg, other = figures[0].axes
    assert (jpeg.get_xlabel(), other.get_xlabel()) == ("QF", "WebP")
    assert [list(line.get_xdata()) for line in other.lines[1:]] == [[20, 40]]
    assert set(other.lines[0].get_ydata()) == {28.3}
    assert {text.get_text() for text in other.texts} == {"original", "corrupted"}
    assert other.lines[1].get_color() == jpeg.lines[1].get_color()  # references of their panels


def test_many_restorers_never_share_colour_and_line(tmp_path, figures):
    rows = [row(f"r{i}", qf, i + qf) for i in range(12) for qf in (10, 20)]
    plot_metric(rows, "value", tmp_path / "p.png", "Many")
    looks = {(line.get_color(), line.get_linestyle()) for line in figures[0].axes[0].lines}
    assert len(looks) == 12


def test_values_that_are_not_finite_are_left_out(tmp_path, figures):
    rows = [*ROWS, row("base", 100, float("inf")), row("base", 90, None)]
    plot_metric(rows, "value", tmp_path / "p.png", "Finite")
    assert list(figures[0].axes[0].lines[2].get_xdata()) == [10, 40]
    with pytest.raises(JpegPreprocError, match="No row has a finite 'value'"):
        plot_metric([row("jpeg", 10, float("nan"))], "value", tmp_path / "q.png", "None")


@pytest.mark.parametrize("seed", range(5))
def test_spread_labels_keep_order_distance_and_centre(seed):
    values = sorted(np.random.default_rng(seed).uniform(0, 5, 8))
    moved = spread(values, 1.0, ceiling=100.0)
    assert np.diff(moved).min() >= 1 - 1e-9
    assert sum(moved) == pytest.approx(sum(values))


def test_labels_with_room_stay_where_they_are():
    assert spread([0.0, 2.0, 3.0], 1.0, ceiling=3.0) == [0.0, 2.0, 3.0]


def test_labels_keep_below_the_ceiling():
    assert spread([0.0, 2.8, 3.0], 1.0, ceiling=3.0) == [0.0, 2.0, 3.0]


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(JpegPreprocError, match=r"jpeg_preproc\[report\]"):
        plot_metric(ROWS, "value", tmp_path / "p.png", "None")


def test_importing_the_room_imports_no_matplotlib():
    code = (
        "import sys, jpeg_preproc.report.plots, jpeg_preproc.report;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bounds_are_a_band_around_the_line(tmp_path, figures):
    banded = [Row("base", ("QF", qf), 25.0, around=2.0) for qf in (10.0, 40.0)]
    plot_metric([*ROWS[:3], *banded], "value", tmp_path / "a.svg", "A", "mAP")
    (axis,) = figures[0].axes
    (band,) = axis.collections
    corners = band.get_paths()[0].vertices
    assert corners.min(0).tolist() == [10.0, 23.0] and corners.max(0).tolist() == [40.0, 27.0]
