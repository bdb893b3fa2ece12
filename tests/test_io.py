"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jpeg_preproc.io import (
    open_atomic,
    remove_temporary_files,
    temporary_prefix,
    write_bytes_atomic,
)


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = write_bytes_atomic(tmp_path / "a/b/file", b"new")
    assert path.read_bytes() == b"new"
    write_bytes_atomic(path, b"")
    assert path.read_bytes() == b""
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_has_the_permissions_of_any(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    expected = (tmp_path / "plain").stat().st_mode
    assert write_bytes_atomic(tmp_path / "atomic", b"").stat().st_mode == expected


def test_what_a_write_takes_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
    assert write_bytes_atomic(tmp_path / "file", b"0123456789").read_bytes() == b"0123456789"


def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bytes_atomic(tmp_path / "file", b"old")

    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left") as error:
            write_bytes_atomic(path, b"new")
        assert error.value.filename == str(path)
    with pytest.raises(ValueError, match="stopped"), open_atomic(path) as stream:
        stream.write(b"half")
        raise ValueError("stopped")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a" * 246, "a" * 255, "ü" * 127])
def test_names_as_long_as_they_can_be_are_written(tmp_path: Path, name: str) -> None:
    path = write_bytes_atomic(tmp_path / name, b"new")
    with open_atomic(path) as stream:
        stream.write(b"newer")
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    long = "b" * 250
    names = ["a.png", f"deep/{long}", "deep/.c.png.0123abcd"]
    kept = [
        "a.png",
        ".x.png.0123abcd",
        ".a.png.012",
        "deep/.c.png.0123abcd",
        "other/.a.png.0123abcd",
    ]
    left = [".a.png.0123abcd", f"deep/{temporary_prefix(long)}00000000", ".ours.0123abcd"]
    for name in (*kept, *left):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_temporary_files([*names, "absent/a.png"], tmp_path, lambda name: name == "ours")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == set(kept)


def test_of_temporary_files_only_those_of_before_a_time_are_removed(tmp_path):
    old, new = tmp_path / ".a.png.00000000", tmp_path / ".a.png.11111111"
    for path, written in ((old, 1000), (new, 2000)):
        path.touch()
        os.utime(path, (written, written))
    remove_temporary_files(["a.png"], tmp_path, before=2000)
    assert not old.exists() and new.exists()
