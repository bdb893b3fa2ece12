"""What a newcomer starts from is true: files, floors, versions and commands."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from test_floors import FLOORS

from jpeg_preproc.corruptions import codecs
from jpeg_preproc.jpeg import versions

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_all_paths_that_it_names_are_there():
    folders = r"(?:jpeg_preproc|tests|tools|docs|configs|\.ci)"
    paths = re.findall(rf"`({folders}/[\w./]*)(?:::\w+)?`", TEXT)
    absent = [path for path in paths if not (REPOSITORY / path).exists()]
    assert len(paths) > 15 and absent == []
    for file, test in re.findall(r"`(tests/[\w./]+)::(\w+)`", TEXT):
        assert f"def {test}(" in (REPOSITORY / file).read_text(encoding="utf-8")


def test_floors_are_those_of_the_test():
    told = {}
    for number, rooms in re.findall(r"^\| (\d) \| (.*) \|$", TEXT, re.MULTILINE):
        told |= {name.rstrip("/"): int(number) for name in re.findall(r"`([a-z_]+/?)`", rooms)}
    told.pop("mmcv", None)
    floors = {name: floor for name, floor in FLOORS.items() if "." not in name}
    assert told == floors


def test_the_recipe_s_corruption_works(monkeypatch, photo):
    blocks = re.findall(r"^   ```python\n(.*?)^   ```", TEXT, re.MULTILINE | re.DOTALL)
    names = {**vars(codecs), "pytest": pytest}
    definition, version, test = (textwrap.dedent(block) for block in blocks)
    exec(definition, names)  # noqa: S102 - it is a program
    found = eval(f"{{{version}}}", vars(versions))  # noqa: S307
    for name, function in found.items():
        monkeypatch.setitem(versions._VERSIONS, name, function)
    exec(test, names)  # noqa: S102
    names["test_jpeg2000_is_pillows"](photo)
    assert names["Jpeg2000"](40).spelling == names["Jpeg2000"].example


def test_pre_commit_has_the_ruff_of_ci():
    yaml = pytest.importorskip("yaml", reason="the settings are YAML")
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text("utf-8"))
    constraints = (REPOSITORY / "tools/constraints.txt").read_text("utf-8")
    (version,) = re.findall(r"^ruff==(.+)$", constraints, re.MULTILINE)
    assert [repo["rev"] for repo in config["repos"] if "ruff" in repo["repo"]] == [f"v{version}"]


def test_the_workflow_runs_ci():
    yaml = pytest.importorskip("yaml", reason="the workflow is YAML")
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text("utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]
