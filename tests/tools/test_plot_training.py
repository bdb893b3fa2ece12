"""``tools/plot_training.py``: says where the curves went, or what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="needs the [report] extra")


TOOL = Path(__file__).resolve().parents[2] / "tools/plot_training.py"


def run(*arguments):
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_curves_go_beside_the_log(tmp_path):
    folder = tmp_path / "run/vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text(json.dumps({"step": 50, "loss": 0.5}) + "\n")
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "curves.png") in done.stdout.replace("\n", "")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_log_is_named(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr
