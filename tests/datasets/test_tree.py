"""Walking a data root, and names that try to leave it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jpeg_preproc.datasets.tree import join_inside, missing_problems, walk_tree


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "data"
    touch(folder, "a/1.jpg", "b/c/2.txt")
    (folder / "empty").mkdir()
    touch(tmp_path, "outside/secret.jpg")
    return folder


def test_files_and_folders_are_listed_relative_to_the_root(root):
    tree = walk_tree(root)
    assert tree.files == {"a/1.jpg", "b/c/2.txt"}
    assert tree.folders == ["a", "b", "b/c", "empty"]
    assert not tree.problems


def test_a_root_that_is_a_link_itself_is_taken(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert walk_tree(tmp_path / "link").files == {"a/1.jpg", "b/c/2.txt"}


def test_links_inside_the_root_are_followed(root):
    (root / "a/again.jpg").symlink_to("1.jpg")
    (root / "alias").symlink_to("b")
    tree = walk_tree(root)
    assert {"a/again.jpg", "alias/c/2.txt"} <= tree.files
    assert not tree.problems


def test_links_out_of_the_root_are_refused_unless_meant(root, tmp_path):
    (root / "a/leak.jpg").symlink_to(tmp_path / "outside/secret.jpg")
    (root / "leaks").symlink_to(tmp_path / "outside")
    tree = walk_tree(root)
    assert tree.files == {"a/1.jpg", "b/c/2.txt"}
    assert [problem.path for problem in tree.problems] == ["a/leak.jpg", "leaks"]
    assert all("--follow-links" in problem.reason for problem in tree.problems)
    assert tree.is_refused("leaks/secret.jpg")
    assert not tree.is_refused("a/1.jpg")
    assert {"a/leak.jpg", "leaks/secret.jpg"} <= walk_tree(root, follow_links=True).files


@pytest.mark.parametrize("follow_links", [False, True])
def test_loops_broken_links_and_pipes_are_refused(root, follow_links):
    (root / "b/up").symlink_to("..")
    (root / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "self.jpg").symlink_to("self.jpg")
    os.mkfifo(root / "pipe.jpg")
    tree = walk_tree(root, follow_links)
    assert {problem.path for problem in tree.problems} == {
        "b/up",
        "gone.jpg",
        "pipe.jpg",
        "self.jpg",
    }
    assert tree.files == {"a/1.jpg", "b/c/2.txt"}


def test_a_name_that_is_not_utf8_is_refused_in_words_that_can_be_printed(root):
    Path(os.fsdecode(os.fsencode(root) + b"/a/caf\xe9.jpg")).touch()
    (problem,) = walk_tree(root).problems
    assert "UTF-8" in problem.reason
    problem.reason.encode("utf-8")
    problem.path.encode("utf-8")


@pytest.mark.parametrize(
    ("base", "name", "joined"),
    [
        ("val", "1.jpg", "val/1.jpg"),
        (".", "val/1.jpg", "val/1.jpg"),
        ("val", "./x/../1.jpg", "val/1.jpg"),
        ("val", "../train/1.jpg", "train/1.jpg"),
        ("val", "../../1.jpg", None),
        (".", "..", None),
        ("val", "/etc/passwd", None),
        ("val", "1\0.jpg", None),
        (".", "..jpg", "..jpg"),
    ],
)
def test_join_inside(base, name, joined):
    assert join_inside(base, name) == joined


def test_few_missing_files_are_named_and_many_are_counted():
    few = missing_problems("a.json", ["2.jpg", "1.jpg", "1.jpg"], "val")
    assert [problem.path for problem in few] == ["val/1.jpg", "val/2.jpg"]
    (many,) = missing_problems("a.json", [f"{n}.jpg" for n in range(1000)], "val")
    assert many.path == "a.json"
    assert "1000" in many.reason and "--splits" in many.reason
