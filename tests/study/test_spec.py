"""What a study says, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jpeg_preproc.errors import (
    CorruptionError,
    JpegPreprocError,
    StudyError,
    UnknownRestorerError,
    WeightsError,
)
from jpeg_preproc.restorers import build_restorer, save_weights
from jpeg_preproc.study.spec import Comparisons, check_files, read_study

pytest.importorskip("mmengine", reason="needs mmengine, which reads configs")

STUDIES = Path(__file__).resolve().parents[2] / "configs" / "studies"


def labels(study):
    return [(done.label, str(done.corruption or "")) for done in study.conditions]


def test_a_study_is_every_model_on_each_of_its_sets_under_every_condition(write):
    study = read_study(
        write(
            "datasets['fog'] = dict(data_root='fog', cfg_options={'a.b': 2})\n"
            "models['two'] = dict(config='two.py', checkpoint='c/two.pth',\n"
            "    datasets=['fog', 'coco'], cfg_options={'a.b': 1, 'x': 3})\n"
        )
    )
    assert study.name == "mine" and study.title == "A study"
    assert [(job.model, job.dataset, str(job.data_root)) for job in study.jobs] == [
        ("one", "coco", "coco"),
        ("two", "fog", "fog"),
        ("two", "coco", "coco"),
    ]
    assert study.jobs[1].cfg_options == {"a.b": 2, "x": 3}
    # A config lies beside the study, as its _base_ does; the rest in the working directory.
    assert study.jobs[1].config == Path.cwd() / "two.py"
    assert study.jobs[1].checkpoint == Path("c/two.pth")
    assert labels(study) == [
        ("original", ""),
        *(("jpeg", "jpeg:10"), ("base", "jpeg:10"), ("jpeg", "jpeg:90"), ("base", "jpeg:90")),
        *(("corrupted", "webp:30"), ("base", "webp:30")),
    ]
    assert study.compare == Comparisons()


def test_options_of_the_command_line_reach_it(write):
    options = {
        "models.one.checkpoint": "other.pth",
        "datasets.coco.data_root": "elsewhere",
        "restorers": ["nano"],
    }
    study = read_study(write(), options)
    assert study.jobs[0].checkpoint == Path("other.pth")
    assert study.jobs[0].data_root == Path("elsewhere")
    assert labels(study)[2] == ("nano", "jpeg:10")


def test_a_restorer_may_make_a_part_of_its_correction(write):
    study = read_study(
        write(
            "restorers = ['base', dict(weights='base', strength=0.5), dict(weights='base',\n"
            "    strength=0, name='none')]\n"
        )
    )
    chosen = [done.restorer for done in study.conditions if done.restorer][:3]
    assert [(one.label, one.strength) for one in chosen] == [
        *(("base", None), ("base×0.5", 0.5), ("none", 0.0))
    ]


@pytest.mark.parametrize("strength", ["2", "-0.1", "'strong'"])
def test_a_strength_out_of_range_is_told_at_once(write, strength):
    path = write(f"restorers = [dict(weights='base', strength={strength})]\n")
    with pytest.raises(StudyError, match=r"mine\.py: restorer 'base': Strength .* from 0 to 1"):
        read_study(path)


def test_restorers_with_settings(write):
    study = read_study(
        write(
            "restorers = ['base', dict(weights='base', consistent=True),\n"
            "    dict(weights='base', quality_source='blind'),\n"
            "    dict(weights='base', name='ours', quality_source='blind')]\n"
            "compare = dict(baseline='base+blind', robustness=True, rate='jpeg')\n"
        )
    )
    assert [label for label, corruption in labels(study) if corruption == "webp:30"] == [
        *("corrupted", "base", "base+file", "base+blind", "ours")
    ]
    chosen = [done.restorer for done in study.conditions if done.restorer][:4]
    assert [one.consistent for one in chosen] == [False, True, False, False]
    assert [one.quality_source for one in chosen] == ["file", "file", "blind", "blind"]
    assert study.compare == Comparisons("base+blind", True, "jpeg")


def test_a_model_may_be_the_rival_of_another(write):
    study = read_study(
        write("models['two'] = models['one']\ncompare = dict(rivals=dict(two='one'))\n")
    )
    assert study.compare == Comparisons(rivals=(("two", "one"),))


def test_a_restorer_may_have_weights_for_each_corruption(write):
    study = read_study(
        write("restorers = [dict(name='a', weights={'jpeg:10': 'base', 'webp:30': 'nano'})]\n")
    )
    restored = {str(done.corruption): done.restorer for done in study.conditions if done.restorer}
    assert {key: one.name for key, one in restored.items()} == {
        "jpeg:10": "base",
        "webp:30": "nano",
    }
    assert {one.label for one in restored.values()} == {"a"}
    assert restored["jpeg:10"].sha256 != restored["webp:30"].sha256


@pytest.mark.parametrize(
    "added,error,words",
    [
        ("corruptions = ['jpg:10']", CorruptionError, "did you mean 'jpeg'"),
        ("corruptions = ['jpeg:101']", CorruptionError, "a whole number from 1 to 100"),
        ("corruptions = ['webp:-1']", CorruptionError, "a whole number from 0 to 100"),
        ("corruptions = ['jpeg:10', 'jpeg:10,4:2:0']", StudyError, "two cells the name 'jpeg:10'"),
        ("corruptions = 'jpeg:10'", StudyError, "corruptions is 'jpeg:10'; give a list"),
        ("del corruptions", StudyError, "lacks 'corruptions'"),
        ("restorers = ['bass']", UnknownRestorerError, "no restorer weights 'bass'"),
        ("restorers = ['one.pth']", WeightsError, "weights are .safetensors files"),
        ("restorers = ['base', 'base']", StudyError, "two cells the name 'base'"),
        ("restorers = ['nano', dict(weights='base', name='nano')]", StudyError, "'nano'"),
        ("restorers = [dict(weights='base', name='jpeg')]", StudyError, "as a reference is"),
        ("restorers = [dict(name='x')]", StudyError, "lacks 'weights'"),
        ("restorers = [dict(weights='base', qf=3)]", StudyError, "a restorer has 'qf'"),
        ("restorers = [dict(weights='base', quality_source='x')]", StudyError, "file, estimated"),
        (
            "restorers = [dict(name='a', weights={'jpeg:11': 'base'})]",
            StudyError,
            "has weights for jpeg:11",
        ),
        ("restorers = [dict(weights={'jpeg:10': 'base'})]", StudyError, "lacks 'name'"),
        ("models['one']['datasets'] = ['cocoa']", StudyError, "'cocoa', which is unknown; .*coco"),
        ("models['one']['datasets'] = ['coco'] * 2", StudyError, "two cells the name 'coco'"),
        ("del models['one']['checkpoint']", StudyError, "models.one lacks 'checkpoint'"),
        ("models['one']['weights'] = 'x'", StudyError, "models.one has 'weights'; it may have"),
        ("models = dict()", StudyError, "give a dict of models"),
        ("models = 'dema'", StudyError, "or 'demo'"),
        ("datasets['coco']['root'] = 'x'", StudyError, "datasets.coco has 'root'"),
        ("compare = dict(baseline='bass')", StudyError, "does not have; it has: base"),
        ("compare = dict(rate='avif')", StudyError, "it has: jpeg, webp"),
        ("compare = dict(rates='jpeg')", StudyError, "compare has 'rates'; it may have"),
        ("compare = dict(rivals=['one'])", StudyError, "give a dict: each rival's name"),
        ("compare = dict(rivals=dict(two='one'))", StudyError, "'two', which is no model .*: one"),
        ("compare = dict(rivals=dict(one='one'))", StudyError, "give two models on one data set"),
        (
            "models = 'demo'; compare = dict(rivals=dict(a='b'))",
            StudyError,
            "it has: none by name",
        ),
        ("restorer = ['nano']", StudyError, "did you mean 'restorers'"),
        ("x = 1 / 0", StudyError, "fails with ZeroDivisionError"),
        ("x = jpeg", StudyError, "fails with NameError: name 'jpeg' is not defined"),
        ("x = (", JpegPreprocError, "cannot be read"),
        ("custom_imports = dict(imports=['not_there'])", JpegPreprocError, "not_there"),
    ],
)
def test_what_is_wrong_is_one_error_that_names_the_file(write, added, error, words):
    path = write(added)
    with pytest.raises(error, match=words) as found:
        read_study(path)
    assert "mine.py" in str(found.value)


def test_a_study_that_is_not_there(tmp_path):
    with pytest.raises(JpegPreprocError, match=r"absent\.py"):
        read_study(tmp_path / "absent.py")


@pytest.mark.parametrize(
    "name,key",
    [
        ("one.py", "models.one.config"),
        ("one.pth", "models.one.checkpoint"),
        ("coco", "datasets.coco.data_root"),
    ],
)
def test_a_file_that_is_missing_is_told_with_the_option_that_mends_it(write, name, key):
    study = read_study(write())
    check_files(study)
    Path(name).rename("moved")
    with pytest.raises(StudyError, match=rf"{name} is not there; .*--cfg-options {key}=PATH"):
        check_files(study)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.py")), ids=lambda path: path.stem)
def test_shipped_studies_can_be_read(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    for qf in (10, 20, 30, 40):  # the authors' AR-CNN is for the user to fetch
        file = tmp_path / f"checkpoints/arcnn_q{qf}.safetensors"
        file.parent.mkdir(exist_ok=True)
        save_weights(build_restorer("ARCNN", "grey"), file, preset="grey")
    study = read_study(path)
    assert study.title != study.name and len(study.conditions) > 1
    for job in study.jobs or ():
        assert job.config.is_file()
    for condition in study.conditions:
        if condition.corruption is not None:
            assert condition.corruption.label


def test_there_are_the_studies_of_the_readme():
    assert {path.stem for path in STUDIES.glob("*.py")} == {
        *("dagn_table4", "agarnet_recompression", "agarnet_transcoding", "coco_c_jpeg"),
        *("qf_sweep", "histories", "codecs_at_equal_bits", "decoders", "demo", "rival"),
        "never_seen",
    }


def test_the_paper_s_weights_go_with_their_qualities(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for qf in (10, 20, 30, 40):
        save_weights(
            build_restorer("ARCNN", "grey"), f"checkpoints/arcnn_q{qf}.safetensors", preset="grey"
        )
    study = read_study(STUDIES / "dagn_table4.py")
    found = {str(done.corruption): done.restorer for done in study.conditions if done.restorer}
    assert {one.label for one in found.values()} <= {
        "arcnn",
        "dagn-tiny",
        "small-task",
        "base-task",
    }
    arcnn = [
        (done.corruption.qf, Path(done.restorer.name).stem)
        for done in study.conditions
        if done.label == "arcnn"
    ]
    assert arcnn == [(qf, f"arcnn_q{qf}") for qf in (10, 20, 30, 40)]
    assert study.compare.baseline == "arcnn"
