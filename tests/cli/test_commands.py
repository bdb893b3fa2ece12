"""Every tool is a command, and both spellings of it say what was typed."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from jpeg_preproc.cli.arguments import program
from jpeg_preproc.cli.command import COMMANDS

TOOLS = Path(__file__).resolve().parents[2] / "tools"
#: Commands that no script of tools/ is for.
FOR_IMAGES = ("restore", "info", "models", "convert")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in FOR_IMAGES])
def test_a_tool_calls_its_command(name):
    module = name.replace("-", "_")
    text = (TOOLS / f"{module}.py").read_text(encoding="utf-8")
    assert f"from jpeg_preproc.cli.{module} import main" in text
    assert len(text.splitlines()) < 15


def test_what_was_typed_is_what_help_and_results_say(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/tools/train.py", "config.py"])
    assert program("train") == "python tools/train.py"
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/jpeg-preproc", "train"])
    assert program("train") == "jpeg-preproc train"


def test_a_script_of_tools_has_its_own_usage():
    done = subprocess.run(
        [sys.executable, TOOLS / "compress_dataset.py", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python tools/compress_dataset.py ")
    assert done.stdout.splitlines()[-1].startswith("  python tools/compress_dataset.py data/coco")


def test_a_package_that_is_not_there_is_named(monkeypatch, capsys):
    def absent(name):
        raise ModuleNotFoundError("No module named 'mmengine'", name="mmengine.config")

    main = import_module("jpeg_preproc.cli.command")
    monkeypatch.setattr(main, "import_module", absent)
    assert main.run_command(["study"]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "study needs mmengine, which is not installed: pip install onedl-mmengine" in message
