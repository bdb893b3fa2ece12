"""Which file goes where, and what is refused before anything is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jpeg_preproc.errors import FileError
from jpeg_preproc.files.plan import plan_jobs


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of (empty) images and other files; the paths below are relative to it."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "in/a.jpg",
        "in/deep/er/b.JPEG",
        "in/deep/c.png",
        "in/notes.txt",
        "in/._a.jpg",
        "in/.thumbnails/a.jpg",
        "more/d.jpg",
        "scan.2024",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def targets(*inputs, out="out", suffix=".png", **options):
    plan = plan_jobs(inputs, out, suffix, **options)
    return {str(job.source): str(job.target) for job in plan.jobs}


def test_a_folder_keeps_its_tree_and_only_images_count(folder):
    assert targets("in") == {
        "in/a.jpg": "out/a.png",
        "in/deep/c.png": "out/deep/c.png",
        "in/deep/er/b.JPEG": "out/deep/er/b.png",
    }


def test_files_go_directly_into_the_folder(folder):
    assert targets("in/a.jpg", "in/deep/c.png", suffix=".webp") == {
        "in/a.jpg": "out/a.webp",
        "in/deep/c.png": "out/c.webp",
    }
    assert targets("scan.2024") == {"scan.2024": "out/scan.2024.png"}


@pytest.mark.parametrize(
    "pattern,expected",
    [
        ("in/*.jpg", {"in/a.jpg": "out/a.png"}),
        ("in/**/*.*", {"in/a.jpg", "in/deep/c.png", "in/deep/er/b.JPEG"}),
        ("*/*", {"in/a.jpg", "in/deep/c.png", "in/deep/er/b.JPEG", "more/d.jpg"}),
        ("in/deep/?.png", {"in/deep/c.png": "out/c.png"}),
    ],
)
def test_globs(folder, pattern, expected):
    found = targets(pattern)
    if isinstance(expected, dict):
        assert found == expected
    else:
        assert set(found) == expected


def test_a_globs_tree_begins_behind_its_last_fixed_part(folder):
    found = targets("in/**/*.JPEG", "m*/*.jpg")
    assert found == {"in/deep/er/b.JPEG": "out/deep/er/b.png", "more/d.jpg": "out/more/d.png"}


def test_a_name_with_brackets_that_exists_is_no_glob(folder):
    (folder / "photo[1].jpg").touch()
    assert targets("photo[1].jpg") == {"photo[1].jpg": "out/photo[1].png"}


def test_a_single_file_to_a_single_file(folder):
    assert targets("in/a.jpg", out="x/result.png") == {"in/a.jpg": "x/result.png"}
    assert targets("in/a.jpg", out="r.jpeg", suffix=".jpg") == {"in/a.jpg": "r.jpeg"}
    assert targets("in/a.jpg", out="folder.png/") == {"in/a.jpg": "folder.png/a.png"}
    (folder / "old.png").touch()
    assert targets("in/a.jpg", out="old.png") == {"in/a.jpg": "old.png"}


def test_earlier_results_inside_the_input_are_no_inputs(folder):
    (folder / "in/out").mkdir()
    (folder / "in/out/a.png").touch()
    expected = {"in/a.jpg", "in/deep/c.png", "in/deep/er/b.JPEG"}
    assert set(targets("in", out="in/out")) == expected
    assert set(targets("in/**/*", out="in/out")) == expected
    assert set(targets("in/*", out="in/out")) == expected


@pytest.mark.parametrize(
    "inputs,out,message",
    [
        (["absent.jpg"], "out", r"absent\.jpg does not exist"),
        (["absent.jpg"], "out.png", r"absent\.jpg does not exist"),
        (["in/*.bmp"], "out", r"in/\*\.bmp holds no image"),
        (["more/d.jpg", "in/deep/er"], "d.png", "d.png is a file, or named like one"),
        (["in"], "scan.2024", "scan.2024 is a file"),
        (["in/a.jpg"], "a.jpg", "would be written as png; .* --format"),
        (["in/a.jpg"], "a.bmp", "--format"),
        (["in"], "in", "in is an input folder"),
        (["in"], "in/../in", "is an input folder"),
        (["in/a.jpg", "more/d.jpg"], "x.webp", "named like one"),
    ],
)
def test_what_cannot_be_is_refused(folder, inputs, out, message):
    with pytest.raises(FileError, match=message):
        plan_jobs(inputs, out, ".png")


def test_two_inputs_with_one_output_are_named(folder):
    (folder / "in/a.png").touch()
    with pytest.raises(FileError, match=r"in/a\.jpg and in/a\.png would both become out/a\.png"):
        targets("in")
    with pytest.raises(FileError, match=r"in/deep/c\.png and more/c\.jpg"):
        (folder / "more/c.jpg").touch()
        targets("in/deep/c.png", "more")


def test_an_input_named_twice_is_one(folder):
    assert targets("more", "more/d.jpg", "more/*") == {"more/d.jpg": "out/d.png"}


def test_a_source_is_never_an_output(folder):
    with pytest.raises(FileError, match=r"in/deep/c\.png, which is an input"):
        targets("in/deep/c.png", out="in/deep")
    (folder / "out/deep").mkdir(parents=True)
    os.link(folder / "in/a.jpg", folder / "out/a.png")
    with pytest.raises(FileError, match=r"out/a\.png, which is an input"):
        targets("in")


def test_a_folder_in_the_place_of_an_output(folder):
    (folder / "out/a.png").mkdir(parents=True)
    with pytest.raises(FileError, match="which is a folder"):
        targets("in")


def test_links(folder):
    (folder / "in/inside.jpg").symlink_to("a.jpg")
    (folder / "in/outside.jpg").symlink_to(folder / "more/d.jpg")
    (folder / "in/broken.jpg").symlink_to("nowhere")
    (folder / "in/broken.txt").symlink_to("nowhere")
    plan = plan_jobs(["in"], "out", ".png")
    assert "in/inside.jpg" in {str(job.source) for job in plan.jobs}
    assert [problem.path for problem in plan.problems] == ["in/broken.jpg", "in/outside.jpg"]
    assert "--follow-links" in plan.problems[1].reason
    followed = plan_jobs(["in"], "out", ".png", follow_links=True)
    assert "in/outside.jpg" in {str(job.source) for job in followed.jobs}


def test_an_empty_folder_is_refused(folder):
    (folder / "empty").mkdir()
    with pytest.raises(FileError, match="empty holds no image"):
        targets("empty")
