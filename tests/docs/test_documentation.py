"""The documentation is built without a warning, and names nothing that is not there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"


@pytest.mark.slow
def test_pages_are_built_without_warnings_and_open_from_the_folder(tmp_path):
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package, reason="needs the extra 'docs'")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E"]
    paths = [str(REPOSITORY), *(entry for entry in sys.path if entry)]
    result = subprocess.run(
        [*command, "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "html")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    pages = {page.relative_to(tmp_path / "html") for page in (tmp_path / "html").rglob("*.html")}
    sources = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert sources <= pages
    for page in sources:
        text = (tmp_path / "html" / page).read_text(encoding="utf-8")
        local = {
            link.partition("#")[0]
            for link in re.findall(r'(?:href|src)="([^"]+)"', text)
            if not re.match(r"\w+:", link)
        }
        for link in local - {""}:
            assert not link.startswith("/"), f"{page}: {link} is no link from a folder"
            target = (tmp_path / "html" / page).parent / link.partition("?")[0]
            assert target.exists(), f"{page}: {link}"
    reference = (tmp_path / "html/api/restoring.html").read_text(encoding="utf-8")
    assert "JpegRestorer" in reference and "Remove JPEG artifacts from images" in reference


def test_links_between_the_files_of_the_repository_lead_somewhere():
    pages = [*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md"), *REPOSITORY.glob("configs/**/*.md")]
    dead = []
    for page in pages:
        if "_build" in page.parts:
            continue
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target = link.partition("#")[0]
            if target and not re.match(r"\w+:", link) and not (page.parent / target).exists():
                dead.append(f"{page.relative_to(REPOSITORY)}: {link}")
    assert dead == []


def test_the_readme_is_short():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") < 150
    for command in ("tools/bootstrap.py demo", "tools/bootstrap.py test", "JpegRestore"):
        assert command in text
