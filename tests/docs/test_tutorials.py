"""The tutorials, run as they are written: their commands, their Python, and what both print."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jpeg_preproc.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
#: Each tutorial with the packages that it needs beside the requirements.
TUTORIALS = {
    "restore_a_folder": (),
    "add_to_mmdet": ("mmdet",),
    "measure_your_model": ("mmdet",),
    "study": ("mmdet", "matplotlib"),
    "train": ("mmengine", "scipy"),
}
_BLOCK = re.compile(r"^```(sh|python|text)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: The page whose commands go through a shell; other pages' are called in this process, since each
#: would import torch and mmdet anew, which takes longer than all that it does.
IN_A_SHELL = "restore_a_folder"
#: Libraries that the recipes are for.
RECIPES = ("torchvision", "transformers", "ultralytics", "supervision")

pytestmark = pytest.mark.slow


def blocks(page: Path, library: str = "") -> list[tuple[str, str]]:
    """Language and text of each block that is run, or that says what the one before it printed.

    Of a page of recipes, those of one library and those that are for all.
    """
    found, wanted = [], True
    for language, own, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language != "text":
            wanted = own in ("", library)
        if wanted:
            found.append((language, text))
    return found


def missing_lines(expected: str, printed: str) -> list[str]:
    """The lines that were not printed; ``…`` in one stands for anything, blanks count as one."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    return [
        line
        for line in expected.splitlines()
        if line.strip() not in ("", "…")
        and not any(
            re.fullmatch(".*".join(map(re.escape, " ".join(line.split()).split("…"))), shown)
            for shown in lines
        )
    ]


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty folder with the checkout's configs, and with our commands on the path."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, call in (("jpeg-preproc", "-m jpeg_preproc"), ("python", "")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        script.chmod(0o755)
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "configs").symlink_to(REPOSITORY / "configs")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("COLUMNS", "160")
    yield folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_does_what_it_says(name, scratch):
    for package in TUTORIALS[name]:
        pytest.importorskip(package, reason=f"needs {package}")
    run(blocks(DOCS / "tutorials" / f"{name}.md"), name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", RECIPES)
def test_a_recipe_does_what_it_says(library, scratch):
    pytest.importorskip(library, reason=f"the recipe is for {library}")
    found = blocks(DOCS / "recipes.md", library)
    assert len(found) == 3
    run(found, library)


def arguments_of(text: str) -> list[str] | None:
    """Return the arguments of a block that calls our command, and does nothing else."""
    lines = text.replace("\\\n", " ").splitlines()
    words = shlex.split(lines[0])
    return words[1:] if len(lines) == 1 and words[0] == "jpeg-preproc" else None


def run(page: list[tuple[str, str]], name: str) -> None:
    """Run a page's blocks, and compare what they print with what it says."""
    names: dict[str, object] = {"__name__": "tutorial"}
    printed = ""
    for language, text in page:
        arguments = arguments_of(text) if language == "sh" and name != IN_A_SHELL else None
        output = io.StringIO()
        if arguments is not None:
            with contextlib.redirect_stdout(output):
                assert main(arguments) == 0, text
            printed = output.getvalue()
        elif language == "sh":
            result = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True
            )
            assert result.returncode == 0, f"{text}\n{result.stdout}\n{result.stderr}"
            printed = result.stdout
        elif language == "python":
            with contextlib.redirect_stdout(output):
                exec(compile(text, name, "exec"), names)  # noqa: S102 - pages are programs
            printed = output.getvalue()
        else:
            assert not missing_lines(text, printed), printed


def test_what_calls_our_command_alone_is_told_from_other_blocks():
    assert arguments_of("jpeg-preproc info 'a b' \\\n    --json\n") == ["info", "a b", "--json"]
    assert arguments_of("jpeg-preproc info a\nls\n") is None
    assert arguments_of("ls studies\n") is None


def test_every_tutorial_is_run_and_has_something_to_run():
    pages = {page.stem: page for page in (DOCS / "tutorials").glob("*.md")}
    assert pages.keys() == TUTORIALS.keys()
    for page in pages.values():
        languages = [language for language, _ in blocks(page)]
        assert "text" in languages and {"sh", "python"} & set(languages)


def test_what_is_not_printed_is_found():
    assert missing_lines("a … c\n…\n", "x\na  b c\n") == []
    assert missing_lines("a … c\n", "a b d\n") == ["a … c"]
