"""The zoo's page and OpenMMLab's metafiles say what the manifests say, and nothing is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpeg_preproc.restorers import list_weights, registered_names
from jpeg_preproc.restorers.zoo import zoo_files

yaml = pytest.importorskip("yaml", reason="metafiles are YAML")

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def files():
    return zoo_files(REPOSITORY)


def test_what_is_in_the_repository_is_what_the_manifests_say(files):
    outdated = [
        str(path)
        for path, text in files.items()
        if not (REPOSITORY / path).is_file() or (REPOSITORY / path).read_text("utf-8") != text
    ]
    assert outdated == [], "run python tools/write_zoo.py"
    metafiles = {
        path.relative_to(REPOSITORY) for path in REPOSITORY.glob("configs/**/metafile.yml")
    }
    assert metafiles == {path for path in files if path.name == "metafile.yml"}


def test_all_that_a_metafile_names_is_there(files):
    weights = list_weights()
    index = yaml.safe_load(files[Path("model-index.yml")])
    contents = [yaml.safe_load(files[Path(path)]) for path in index["Import"]]
    collections = [one for content in contents for one in content["Collections"]]
    models = [one for content in contents for one in content.get("Models", ())]
    # What is not trained has no folder of configs, and so no metafile.
    folders = {folder.name for folder in (REPOSITORY / "configs/restorers").iterdir()}
    trained = [
        name for name in registered_names() if name.lower().replace("qcn", "qgcn") in folders
    ]
    assert sorted(one["Name"] for one in collections) == trained and len(trained) > 8
    assert {one["Name"] for one in models} == {
        name for name, one in weights.items() if "config" in one.manifest.training
    }
    for one in collections:
        assert (REPOSITORY / one["Code"]["Path"]).is_file()
        assert "README" not in one or (REPOSITORY / one["README"]).is_file()
    for one in models:
        manifest = weights[one["Name"]].manifest
        assert (REPOSITORY / one["Config"]).is_file()
        assert (REPOSITORY / one["Weights"]).is_file()
        assert one["Metadata"]["Parameters"] == manifest.parameters
        measured = one["Results"][0]["Metrics"]
        assert measured["PSNR at QF 10 (dB)"] == manifest.measured["psnr_db"]["10"]


def test_a_manifest_whose_config_is_gone_is_named(tmp_path):
    for name in registered_names():
        (tmp_path / "configs/restorers" / name.lower()).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"the config \w+\.py, of which there are 0"):
        zoo_files(tmp_path)
