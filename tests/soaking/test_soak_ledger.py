"""What a soak that was stopped goes on from, and how parts of a line become one."""

from __future__ import annotations

from collections import Counter

import pytest

from soaking import ledger
from soaking.ledger import Ledger
from soaking.sections import PART_OF_INPUTS, SECTIONS, Setting
from soaking.tally import Tally, merged, summary


def test_unasked_every_section_tries_what_is_promised():
    promised = {"inputs": 50_000, "kills": 50, "early": 60, "signals": 10, "shapes": 3_000}
    assert {name: SECTIONS[name].count for name in promised} == promised


def filled(part):
    tally = Tally("kills", "train", tried=part)
    tally.fault("lost", f"in part {part}")
    tally.measure("s", 0.25 * part)
    tally.beside["came too late"] += part
    return tally


def test_parts_become_one_line():
    lines = merged([filled(1), Tally("kills", "study", 4), filled(2)])
    assert [(line.what, line.tried) for line in lines] == [("train", 3), ("study", 4)]
    assert lines[0].faults == Counter(lost=2) and len(lines[0].notes) == 2
    assert lines[0].remarks() == "at most 0.50 s; 3 came too late"
    (row, _) = summary(lines).rows
    assert row[:3] == ("kills", "train", "3") and row[-1] == lines[0].remarks()


def test_what_was_tried_is_not_tried_again(tmp_path, monkeypatch):
    path, done = tmp_path / "tried.jsonl", []

    def work():
        done.append("work")
        return [filled(2)]

    first = Ledger(path).once(work, "kills", 0)
    assert first == [filled(2)] and len(done) == 1
    assert Ledger(path).once(work, "kills", 0) == first and len(done) == 1
    Ledger(path).once(work, "kills", 10)
    assert len(done) == 2
    # Killed while it wrote a line.
    path.write_text(path.read_text()[:-9])
    assert Ledger(path).once(work, "kills", 0) == first and len(done) == 2
    Ledger(path).once(work, "kills", 10)
    assert len(done) == 3
    assert Ledger(path).once(work, "kills", 10) == first and len(done) == 3
    monkeypatch.setattr(ledger, "_hash_of_sources", lambda: "of other code")
    Ledger(path).once(work, "kills", 0)
    assert len(done) == 4


def test_a_stopped_section_goes_on_with_the_part_it_was_in(tmp_path):
    tried = []

    def work(first, size, on_step):
        if len(tried) == 2:
            tried.append("stopped")
            raise KeyboardInterrupt
        tried.append((first, size))
        on_step(size, size, "")
        return [Tally("inputs", "a call", size)]

    def run():
        steps = []
        setting = Setting(2_500, 19, tmp_path, lambda *step: steps.append(step))
        setting.ledger = Ledger(tmp_path / "tried.jsonl")
        return list(setting.parts("inputs", "", PART_OF_INPUTS, work)), steps

    with pytest.raises(KeyboardInterrupt):
        run()
    tallies, steps = run()
    assert tried == [(0, 1000), (1000, 1000), "stopped", (2000, 500)]
    assert [tally.tried for tally in tallies] == [1000, 1000, 500]
    assert steps == [(2500, 2500, "")]
