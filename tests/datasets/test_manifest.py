"""The record that a run resumes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jpeg_preproc.datasets.manifest import JOURNAL, MANIFEST, TreeManifest, entry_line
from jpeg_preproc.datasets.tree import Problem
from jpeg_preproc.errors import DatasetError

SETTINGS = {"qf": 10, "subsampling": "4:2:0"}
A, B = {"path": "a.jpg", "bytes": 1}, {"path": "b.jpg", "bytes": 2}


def record(manifest: TreeManifest, entry: dict) -> None:
    manifest.record(entry["path"], entry_line(entry))


def finished(folder: Path, *entries: dict) -> bytes:
    with TreeManifest(folder, SETTINGS) as manifest:
        for entry in entries:
            record(manifest, entry)
        manifest.finish([Problem("c.jpg", "c.jpg is damaged.")])
    return (folder / MANIFEST).read_bytes()


def test_the_order_in_which_images_are_done_does_not_show(tmp_path):
    assert finished(tmp_path / "1", A, B) == finished(tmp_path / "2", B, A)
    content = json.loads((tmp_path / "1" / MANIFEST).read_bytes())
    assert content == {
        "settings": SETTINGS,
        "images": [A, B],
        "skipped": [{"path": "c.jpg", "reason": "c.jpg is damaged."}],
    }
    assert not (tmp_path / "1" / JOURNAL).exists()


def test_a_killed_run_is_known_up_to_its_last_whole_line(tmp_path):
    with TreeManifest(tmp_path, SETTINGS) as manifest:
        record(manifest, A)
        record(manifest, B)
    journal = tmp_path / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-5])
    with TreeManifest(tmp_path, SETTINGS) as manifest:
        assert manifest.resumed
        assert manifest.known("a.jpg") == entry_line(A)
        assert manifest.known("b.jpg") is None
        record(manifest, B)
    with TreeManifest(tmp_path, SETTINGS) as manifest:
        assert manifest.entries() == [A, B]


def test_a_finished_run_is_known(tmp_path):
    finished(tmp_path, A)
    with TreeManifest(tmp_path, SETTINGS) as manifest:
        assert not manifest.resumed
        assert manifest.known("a.jpg") == entry_line(A)
        manifest.forget("a.jpg")
        assert manifest.entries() == []


@pytest.mark.parametrize("finish", [True, False])
def test_other_settings_are_refused_and_nothing_is_lost(tmp_path, finish):
    if finish:
        finished(tmp_path, A)
    else:
        with TreeManifest(tmp_path, SETTINGS) as manifest:
            record(manifest, A)
    with pytest.raises(DatasetError, match="subsampling '4:2:0' \\(now '4:4:4'\\)"):
        TreeManifest(tmp_path, {**SETTINGS, "subsampling": "4:4:4"})
    with TreeManifest(tmp_path, SETTINGS) as manifest:
        assert manifest.known("a.jpg") == entry_line(A)


def test_a_folder_that_others_made_is_refused(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(DatasetError, match="not made by this tool"):
        TreeManifest(tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize("content", ["", "[]", '{"settings": {}}', '{"settings": {}, "images": 3}'])
def test_a_damaged_manifest_is_refused(tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(DatasetError, match="damaged"):
        TreeManifest(tmp_path, SETTINGS)


@pytest.mark.parametrize("name", [".manifest.jsonl.0123abcd", ".manifest.json.0123abcd"])
def test_a_run_that_was_killed_as_it_began_is_begun_anew(tmp_path, name):
    (tmp_path / name).write_text("half")
    with TreeManifest(tmp_path, SETTINGS) as manifest:
        assert not manifest.resumed
        assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]
