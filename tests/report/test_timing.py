"""Shares of a model's time, and the plot of gain over time."""

from __future__ import annotations

import pytest

pytest.importorskip("matplotlib", reason="needs the [report] extra")

from matplotlib.figure import Figure

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.report.timing import plot_psnr_vs_time, with_shares


def row(kind, subject, latency, height=480, batch=1):
    return {
        "kind": kind,
        "subject": subject,
        "device": "cpu",
        "dtype": "fp32",
        "height": height,
        "width": 640,
        "batch": batch,
        "latency_ms": latency,
    }


ROWS = [
    row("model", "yolox", 200.0),
    row("restorer", "base", 50.0),
    row("restorer", "nano", 5.0),
    row("restorer", "base", 90.0, height=720),
]


def test_a_share_is_of_the_model_at_the_same_size():
    shares = [line["share_of_yolox"] for line in with_shares(ROWS)]
    assert shares == [None, 0.25, 0.025, None]


def test_without_a_model_rows_stay_as_they_are():
    assert with_shares(ROWS[1:]) == ROWS[1:]


def test_each_restorer_is_a_point(tmp_path, monkeypatch):
    caught = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, *args, **options: (caught.append(self), save(self, *args, **options)),
    )
    rows = [*ROWS, row("restorer", "base", 80.0, batch=4)]
    gains = {"base": 1.5, "nano": 0.9, "unmeasured": 3.0}
    path = plot_psnr_vs_time(rows, gains, tmp_path / "p.png", "Title", "dB")
    assert path.read_bytes().startswith(b"\x89PNG")
    panels = [
        (
            axis.get_title(loc="left"),
            sorted(tuple(line.get_xydata()[0]) for line in axis.lines),
            sorted(text.get_text() for text in axis.texts),
        )
        for axis in caught[0].axes
    ]
    assert panels == [
        ("cpu · fp32 · 480×640", [(5.0, 0.9), (50.0, 1.5)], ["base", "nano"]),
        ("cpu · fp32 · 720×640", [(90.0, 1.5)], ["base"]),
        ("cpu · fp32 · 480×640 · batch 4", [(20.0, 1.5)], ["base"]),
    ]


def test_nothing_to_draw(tmp_path):
    with pytest.raises(JpegPreprocError, match="no restorer with a known gain"):
        plot_psnr_vs_time(ROWS, {}, tmp_path / "p.png", "Title", "dB")
