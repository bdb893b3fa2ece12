"""``tools/plot_training.py``: says where the curves went, or what is wrong."""

from __future__ import annotations

import json

import pytest
from tool_runs import load_tool

pytest.importorskip("matplotlib", reason="needs the [report] extra")


@pytest.fixture(scope="module")
def draw():
    return load_tool("plot_training")


def test_curves_go_beside_the_log(draw, tmp_path, capsys):
    folder = tmp_path / "run/vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text(json.dumps({"step": 50, "loss": 0.5}) + "\n")
    assert draw(tmp_path) == 0
    assert str(tmp_path / "curves.png") in capsys.readouterr().out.replace("\n", "")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_log_is_named(draw, tmp_path, capsys):
    assert draw(tmp_path) == 2
    told = capsys.readouterr().err
    assert str(tmp_path) in told.replace("\n", "")
    assert "Traceback" not in told
