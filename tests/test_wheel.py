"""The wheel: built twice to the same bytes, and whole without the repository."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from jpeg_preproc import __version__
from jpeg_preproc.cli.command import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "jpeg_preproc")
#: Commands of which even the help needs mmengine, which no requirement of the wheel brings.
WITH_MMENGINE = ("eval-downstream", "study", "train")

pytestmark = pytest.mark.slow


def build(folder: Path) -> Path:
    """The wheel of a copy of the sources, made in the folder."""
    source = folder / "source"
    source.mkdir(parents=True)
    for part in PARTS:
        if (REPOSITORY / part).is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / part, source / part, ignore=leave)
        else:
            shutil.copy(REPOSITORY / part, source / part)
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    result = subprocess.run(
        [*wheel, "--disable-pip-version-check", "-w", str(folder), str(source)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    for name in ("pip", "setuptools"):  # setuptools cannot be imported after distutils
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"building a wheel needs {name}")
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder with what the wheel holds, and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, capture_output=True)
    return target


@pytest.fixture
def call(installed, tmp_path):
    """Run Python in an empty folder, with the installed wheel before all else."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment,
            cwd=scratch,
            capture_output=True,
            text=True,
        )

    return run


def test_two_builds_are_of_the_same_bytes(wheel, tmp_path):
    second = build(tmp_path / "again")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, second)}
    assert wheel.name == second.name and len(digests) == 1


def test_all_that_the_package_reads_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "jpeg_preproc").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources - names == set()
    assert wheel.name == f"jpeg_preproc-{__version__}-py3-none-any.whl"


def test_the_restorer_works_and_the_repository_is_not_seen(call, installed, photo, tmp_path):
    jpeg = tmp_path / "photo.jpg"
    Image.fromarray(photo).save(jpeg, quality=10)
    program = (
        "import sys, jpeg_preproc; from jpeg_preproc import JpegRestorer;"
        f"r = JpegRestorer()({str(jpeg)!r}); print(r.image.shape, r.qf, r.source);"
        "print(jpeg_preproc.__file__); from importlib.metadata import version;"
        "print(version('jpeg_preproc'), jpeg_preproc.__version__)"
    )
    result = call("-c", program)
    assert result.returncode == 0, result.stderr
    shown, file, versions = result.stdout.splitlines()
    assert shown == "(120, 184, 3) 10 file" and Path(file).is_relative_to(installed)
    assert versions == f"{__version__} {__version__}"


def test_the_command_restores_tells_and_lists(call, installed, photo, tmp_path):
    jpeg = tmp_path / "photo.jpg"
    Image.fromarray(photo).save(jpeg, quality=10)
    command = installed / "bin" / "jpeg-preproc"
    restored = call(command, "restore", jpeg, tmp_path / "photo.png")
    assert restored.returncode == 0 and "QF 10 (from the file's tables)" in restored.stdout
    assert Image.open(tmp_path / "photo.png").size == (184, 120)
    told = call(command, "info", jpeg)
    assert told.returncode == 0 and "184" in told.stdout
    listed = call(command, "models")
    assert listed.returncode == 0 and "small-task" in listed.stdout


def test_every_command_has_its_help(call, installed):
    with_mmengine = importlib.util.find_spec("mmengine") is not None
    names = [name for name in COMMANDS if with_mmengine or name not in WITH_MMENGINE]
    program = (
        "import sys; from jpeg_preproc.cli import main\n"
        f"for name in {names}:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit as end: print('ended', name, end.code)\n"
    )
    result = call("-c", program)
    assert result.returncode == 0, result.stderr
    for name in names:
        assert f"usage: jpeg-preproc {name} " in result.stdout
        assert f"ended {name} 0" in result.stdout
        assert "tools/" not in result.stdout


def test_the_demo_s_study_is_in_it(call, installed):
    pytest.importorskip("mmengine", reason="studies are mmengine configs")
    program = (
        "from jpeg_preproc.demo import DEMO_STUDY, check_demo_files;"
        "from jpeg_preproc.study.spec import read_study;"
        "check_demo_files(); study = read_study(DEMO_STUDY); print(study.name, DEMO_STUDY)"
    )
    result = call("-c", program)
    assert result.returncode == 0, result.stderr
    name, path = result.stdout.split()
    assert name == "demo" and Path(path).is_relative_to(installed)
