"""Photographs out of a package made here, and tables and packages that will not do."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
from dataclasses import astuple, fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from jpeg_preproc.errors import FileError
from jpeg_preproc.training.photos import Photo, fetch_photos, read_photos

TABLE = Path(__file__).resolve().parents[2] / "configs" / "restorers" / "debian_photos.csv"
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb")


@pytest.fixture
def package(tmp_path):
    """A folder with one .deb, and the photograph in it."""
    root = tmp_path / "root"
    picture = root / "usr" / "share" / "cat.jpg"
    picture.parent.mkdir(parents=True)
    Image.fromarray(data.chelsea()).save(picture)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        "Package: cats\nVersion: 1:2.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    )
    debs = tmp_path / "debs"
    debs.mkdir()
    subprocess.run(
        ["dpkg-deb", "--build", root, debs / "cats_1%3a2.0_all.deb"],
        check=True,
        capture_output=True,
    )
    height, width = data.chelsea().shape[:2]
    photo = Photo(
        file="cat.png",
        package="cats",
        version="1:2.0",
        path="usr/share/cat.jpg",
        sha256=hashlib.sha256(picture.read_bytes()).hexdigest(),
        factor=2,
        width=-(-width // 2),
        height=-(-height // 2),
        licence="CC0-1.0",
        author="Stéfan van der Walt",
    )
    return debs, photo, picture


@needs_dpkg
def test_a_photograph_is_what_pillow_reduces_and_is_fetched_once(package, tmp_path):
    debs, photo, picture = package
    out = tmp_path / "out"
    assert list(fetch_photos([photo], out, debs)) == [photo]
    expected = Image.open(picture).reduce(2)
    assert np.array_equal(np.asarray(Image.open(out / "cat.png")), np.asarray(expected))
    shutil.rmtree(debs)  # what is there needs no package
    assert list(fetch_photos([photo], out, debs)) == [photo]
    assert [path.name for path in out.iterdir()] == ["cat.png"]


@needs_dpkg
@pytest.mark.parametrize(
    "changes,message",
    [
        ({"sha256": "0" * 64}, "another SHA-256"),
        ({"width": 7}, "is reduced to"),
        ({"path": "usr/share/dog.jpg"}, "lacks usr/share/dog.jpg"),
        ({"version": "1:3.0"}, "cats=1:3.0"),
    ],
)
def test_what_is_not_as_listed_is_refused(package, tmp_path, changes, message):
    debs, photo, _ = package
    with pytest.raises(FileError, match=message):
        list(fetch_photos([replace(photo, **changes)], tmp_path / "out", debs))
    assert not list((tmp_path / "out").glob("*"))


def write(path: Path, *rows: tuple[object, ...]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([[field.name for field in fields(Photo)], *rows])
    return path


def test_a_table_is_read_back(tmp_path):
    photo = Photo("a.png", "p", "1", "usr/a.jpg", "0" * 64, 2, 30, 20, "CC0-1.0", "A")
    assert read_photos(write(tmp_path / "t.csv", astuple(photo))) == [photo]


@pytest.mark.parametrize(
    "change,message",
    [({"file": "../a.png"}, "line 2.*without folders"), ({"factor": 0}, "at least 1")],
)
def test_a_line_that_will_not_do_is_named(tmp_path, change, message):
    photo = Photo("a.png", "p", "1", "usr/a.jpg", "0" * 64, 2, 30, 20, "CC0-1.0", "A")
    with pytest.raises(FileError, match=message):
        read_photos(write(tmp_path / "t.csv", astuple(replace(photo, **change))))


def test_no_table_at_all(tmp_path):
    with pytest.raises(FileError, match="not a table"):
        read_photos(tmp_path / "none.csv")
    (tmp_path / "t.csv").write_text("file,package\na.png,p\n")
    with pytest.raises(FileError, match="line 2: not a photograph"):
        read_photos(tmp_path / "t.csv")


def test_the_shipped_table_names_each_photograph_once_with_a_licence():
    photos = read_photos(TABLE)
    assert len({photo.file for photo in photos}) == len(photos) > 100
    assert all(photo.licence and len(photo.sha256) == 64 for photo in photos)
