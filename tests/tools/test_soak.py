"""``tools/soak.py``: its table is there after each line, and one broken section is no end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tool_runs import load_module

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from soaking.sections import Section
from soaking.tally import Tally


@pytest.fixture
def soak(monkeypatch):
    """The tool with two sections: one that breaks in its second part, and one that does not."""
    module = load_module("soak")
    module.tried = []

    def of(name, breaks):
        def work(first, size, on_step):
            module.tried.append((name, first))
            if breaks and first:
                raise RuntimeError("train fails where\nnothing disturbs it")
            return [Tally(name, "train", size)]

        return Section(lambda setting: setting.parts(name, "train", 10, work), 20, "what it does")

    monkeypatch.setattr(module, "SECTIONS", {"kills": of("kills", True), "early": of("early", 0)})
    return module


def test_one_section_that_breaks_is_a_fault_and_the_others_are_tried(soak, tmp_path, capsys):
    assert soak.main(["--out", str(tmp_path)]) == 1
    assert soak.tried == [("kills", 0), ("kills", 10), ("early", 0), ("early", 10)]
    table = (tmp_path / "soak.md").read_text()
    fault = (
        "kills, the section itself: crashed: RuntimeError: train fails where nothing disturbs it"
    )
    assert fault in table and fault in capsys.readouterr().out
    assert "| early | train | 20 |" in " ".join(table.split())


def test_the_same_command_goes_on(soak, tmp_path):
    assert soak.main(["--out", str(tmp_path)]) == 1
    soak.tried.clear()
    assert soak.main(["--out", str(tmp_path)]) == 1
    assert soak.tried == [("kills", 10)]
    soak.tried.clear()
    assert soak.main(["--out", str(tmp_path), "--only", "early", "--count", "5"]) == 0
    assert soak.tried == [("early", 0)]  # of another number in all


def test_a_stop_leaves_the_table_of_what_was_done(soak, tmp_path, capsys):
    def stopped(setting):
        yield Tally("kills", "train", 7)
        assert "train" in (tmp_path / "soak.md").read_text()
        raise KeyboardInterrupt

    soak.SECTIONS["kills"] = Section(stopped, 20, "")
    assert soak.main(["--out", str(tmp_path)]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert "| kills | train | 7 |" in " ".join((tmp_path / "soak.md").read_text().split())
