"""How to cite: the page, CITATION.cff and the package say the same."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

import jpeg_preproc
from jpeg_preproc.report import citation

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_cites_what_the_file_says():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which comes with mmengine")
    file = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert file["cff-version"] == "1.2.0" and file["type"] == "software" and file["message"]
    assert file["title"] == citation.TITLE
    assert [author["name"] for author in file["authors"]] == [citation.AUTHORS]
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert file["version"] == jpeg_preproc.__version__
    assert file["license"] == citation.LICENCE == setup["metadata"]["license"]
    for text in (citation.sentence(), citation.bibtex()):
        assert citation.TITLE in text and citation.AUTHORS in text and str(citation.YEAR) in text
