"""Training curves: which records count after a resume, what is drawn, and what is no log."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("matplotlib", reason="needs the [report] extra")

from matplotlib.figure import Figure

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.report.curves import plot_training, read_scalars


def write_log(work_dir, run, records):
    folder = work_dir / run / "vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text("".join(json.dumps(r) + "\n" for r in records))


@pytest.fixture
def work_dir(tmp_path):
    write_log(
        tmp_path,
        "20260101_000000",
        [
            {"step": 50, "loss": 0.5, "lr": 1e-3},
            {"step": 50, "psnr/qf10_gain": -1.0, "psnr/qf10": 24.0},
            {"step": 100, "loss": 0.4},
            {"step": 150, "loss": 9.0},
            {"step": 200, "loss": 9.0},
        ],
    )
    write_log(
        tmp_path,
        "20260102_000000",
        [{"step": 150, "loss": 0.3}, {"step": 150, "psnr/qf10_gain": 0.5}],
    )
    return tmp_path


def test_a_resumed_run_replaces_what_the_earlier_one_did_beyond_its_start(work_dir):
    scalars = read_scalars(work_dir)
    assert {step: values.get("loss") for step, values in scalars.items()} == {
        50: 0.5,
        100: 0.4,
        150: 0.3,
    }
    assert scalars[50]["psnr/qf10_gain"] == -1.0


def test_losses_and_gains_are_drawn(work_dir, tmp_path, monkeypatch):
    caught = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, *args, **options: (caught.append(self), save(self, *args, **options)),
    )
    path = plot_training(work_dir, tmp_path / "curves.png", "mine")
    assert path.read_bytes().startswith(b"\x89PNG")
    losses, gains = caught[0].axes
    (loss,) = losses.lines
    assert [tuple(point) for point in loss.get_xydata()] == [(50, 0.5), (100, 0.4), (150, 0.3)]
    assert losses.get_yscale() == "log"
    (gain,) = gains.lines
    assert [tuple(point) for point in gain.get_xydata()] == [(50, -1.0), (150, 0.5)]
    assert gain.get_label() == "QF 10"


def test_without_validation_there_are_losses_alone(tmp_path):
    write_log(
        tmp_path, "run", [{"step": 1, "loss_discriminator": 1.4, "loss_quality": 2.0, "time": 1.0}]
    )
    assert plot_training(tmp_path, tmp_path / "curves.svg", "mine").stat().st_size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no \\*/vis_data/scalars.json"),
        ('{"step": 1}\nnonsense\n', "line 2"),
        ('{"loss": 1}\n', "line 1.*step"),
        ("[1]\n", "line 1"),
        ('{"step": 1, "time": 2}\n', "no loss"),
    ],
)
def test_what_is_no_log_is_named(tmp_path, text, message):
    if text is not None:
        write_log(tmp_path, "run", [])
        (tmp_path / "run/vis_data/scalars.json").write_text(text)
    with pytest.raises(JpegPreprocError, match=message) as raised:
        plot_training(tmp_path, tmp_path / "curves.png", "mine")
    assert str(tmp_path) in str(raised.value)
    assert not (tmp_path / "curves.png").exists()
