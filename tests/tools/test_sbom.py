"""The bill of materials: all that is locked, by its hashes, and all weights that are shipped."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tool_runs import load_tool

from jpeg_preproc.io import sha256_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bom(tmp_path_factory):
    path = tmp_path_factory.mktemp("bom") / "sbom.cdx.json"
    assert load_tool("sbom")(path) == 0
    return json.loads(path.read_text())


def test_every_locked_package_is_there_with_the_hashes_of_its_files(bom):
    lock = (ROOT / "tools/locks/all.txt").read_text()
    pins = dict(re.findall(r"^(\S+)==(\S+)", lock, re.MULTILINE))
    libraries = [part for part in bom["components"] if part["type"] == "library"]
    assert {part["name"]: part["version"] for part in libraries} == pins
    hashes = {
        one["content"]
        for part in libraries
        for reference in part["externalReferences"]
        for one in reference["hashes"]
    }
    assert hashes == set(re.findall(r"--hash=sha256:(\w+)", lock))


def test_every_weights_file_is_there_by_the_hash_that_it_has(bom):
    package = ROOT / "jpeg_preproc"
    shipped = [*package.rglob("*.safetensors"), *(package / "demo/weights").iterdir()]
    models = [part for part in bom["components"] if part["type"] == "machine-learning-model"]
    found = {part["hashes"][0]["content"]: Path(part["name"]).name for part in models}
    assert found == {sha256_file(path): path.name for path in shipped}


def test_it_is_what_the_format_asks_for(bom, tmp_path):
    assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.6", 1)
    references = [part["bom-ref"] for part in bom["components"]]
    assert len(references) == len(set(references))
    (root,) = bom["dependencies"]
    assert root["ref"] == bom["metadata"]["component"]["bom-ref"]
    assert root["dependsOn"] == references
    assert load_tool("sbom")(tmp_path / "again.json") == 0
    assert json.loads((tmp_path / "again.json").read_text()) == bom


def test_the_audit_says_why_it_is_skipped():
    done = subprocess.run(
        [ROOT / ".ci/audit"],
        env={**os.environ, "ADVISORIES": "none.invalid"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("skipped: pip-audit, since none.invalid")
