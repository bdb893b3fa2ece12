"""Configs of mmengine's pure Python style, with ``read_base`` and classes as types.

The demo's models are written out in this style; where mmdet ships some configs of it, one of each
kind is converted as well.
"""

from __future__ import annotations

import pickle
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from pure_python import SCOPES, write_pure_python
from small_photos import write_small_photos

from jpeg_preproc.demo import demo_configs
from jpeg_preproc.openmmlab import with_jpeg_restore
from jpeg_preproc.openmmlab.config import load_config
from jpeg_preproc.openmmlab.place import transform_name

mmdet = pytest.importorskip("mmdet")
mmseg = pytest.importorskip("mmseg")

WAYS = ("pipeline", "preprocessor")


# --- on a file


def outcome(config, role, photo_file) -> np.ndarray:
    """Boxes with scores, or labels, that the role's model finds in a photograph."""
    checkpoint = str(demo_configs()[role][1])
    if role == "detector":
        from mmdet.apis import inference_detector, init_detector

        model = init_detector(config, checkpoint, device="cpu")
        found = inference_detector(model, str(photo_file)).pred_instances
        return np.column_stack([found.bboxes.numpy(), found.scores.numpy()])
    from mmseg.apis import inference_model, init_model

    model = init_model(config, checkpoint, device="cpu")
    return inference_model(model, str(photo_file)).pred_sem_seg.data.numpy()


def inferred(config, role, photo_file) -> np.ndarray:
    """The same by ``DetInferencer`` or ``MMSegInferencer``."""
    checkpoint = str(demo_configs()[role][1])
    if role == "segmenter":
        model = mmseg.apis.MMSegInferencer(config, checkpoint, device="cpu")
        return np.asarray(model(str(photo_file))["predictions"])
    model = mmdet.apis.DetInferencer(config, checkpoint, device="cpu")
    (found,) = model(str(photo_file), no_save_vis=True)["predictions"]
    return np.column_stack([found["bboxes"], found["scores"]])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", WAYS)
@pytest.mark.parametrize("role", SCOPES)
def test_a_pure_python_config_restores_as_the_stock_one_does(
    role, where, weights, photo_file, tmp_path
):
    stock = load_config(demo_configs()[role][0])
    stock.visualizer = dict(
        type={"detector": "DetLocalVisualizer", "segmenter": "SegLocalVisualizer"}[role],
        vis_backends=[dict(type="LocalVisBackend")],
    )
    # mmseg's own functions want a scope, and look for these two by name: stock ones fail there too.
    named = ["LoadImageFromFile", "LoadAnnotations"]
    own = (named, "mmseg") if role == "segmenter" else ()
    path = write_pure_python(stock, role, tmp_path / "pure", *own)
    restored = with_jpeg_restore(path, where=where, restorer=weights)
    steps = [transform_name(step) for step in restored.test_dataloader.dataset.pipeline]
    assert steps[:2] == ["LoadImageFromFile", {"pipeline": "JpegRestore"}.get(where, "JpegDefer")]
    restored.dump(str(tmp_path / "restored.py"))
    expected = with_jpeg_restore(stock, where=where, restorer=weights)
    plain = outcome(stock, role, photo_file)
    for find in (outcome, inferred):
        found = find(str(tmp_path / "restored.py"), role, photo_file)
        np.testing.assert_array_equal(found, find(expected, role, photo_file))
        assert found.shape != plain.shape or not np.array_equal(found, plain)


# --- by mmdet's and mmseg's tools/test.py


TTA = {
    "detector": dict(
        type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=9)
    ),
    "segmenter": dict(type="SegTTAModel"),
}


def stock_config(role, folder) -> Config:
    """The demo's config of a role, on two small photographs, with augmented views."""
    config = load_config(demo_configs()[role][0], data_root=write_small_photos(folder, [0, 8]))
    config.model.data_preprocessor.pop("batch_augments", None)
    pipeline = config.test_pipeline = config.test_dataloader.dataset.pipeline
    load, resize, *others, pack = pipeline
    flips = [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)]
    scales = [dict(resize), dict(type="Resize", scale=(192, 144), keep_ratio=True)]
    stages = [scales, flips, *([step] for step in others), [dict(type=pack.type)]]
    config.tta_pipeline = [dict(load), dict(type="TestTimeAug", transforms=stages)]
    config.tta_model = TTA[role]
    config.default_hooks = {}
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    return config


def found_by(path, role, augmented, folder, monkeypatch) -> list[np.ndarray]:
    """What the toolbox's own ``tools/test.py`` predicts for each photograph."""
    package = {"detector": mmdet, "segmenter": mmseg}[role]
    script = Path(package.__file__).parent / ".mim" / "tools" / "test.py"
    if not script.is_file():
        pytest.skip(f"this {package.__name__} ships no tools/test.py")
    out = folder / {"detector": "found.pkl", "segmenter": "found"}[role]
    arguments = [str(path), str(demo_configs()[role][1]), "--work-dir", str(folder / "work")]
    arguments += ["--out", str(out), *(["--tta"] if augmented else [])]
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    runpy.run_path(str(script), run_name="__main__")
    if role == "segmenter":
        return [np.asarray(Image.open(file)) for file in sorted(out.iterdir())]
    found = [one["pred_instances"] for one in pickle.loads(out.read_bytes())]
    return [np.column_stack([one["bboxes"], one["scores"], one["labels"]]) for one in found]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("where", WAYS)
@pytest.mark.parametrize("role", SCOPES)
def test_the_toolboxs_own_test_script_takes_both_spellings(
    role, where, augmented, weights, tmp_path, monkeypatch
):
    stock = stock_config(role, tmp_path / "photos")
    pure = write_pure_python(stock, role, tmp_path / "pure")
    paths = {"plain": pure}
    for name, config in (("by name", stock), ("by class", pure)):
        restored = with_jpeg_restore(config, where=where, restorer=weights)
        paths[name] = tmp_path / f"{name.replace(' ', '_')}.py"
        restored.experiment_name = f"{tmp_path.name}_{name}"  # mmengine keeps one of each
        restored.dump(str(paths[name]))
    found = {
        name: found_by(path, role, augmented, tmp_path / name.replace(" ", "_"), monkeypatch)
        for name, path in paths.items()
    }
    assert len(found["by name"]) == 2 and all(map(len, found["by name"]))
    for left, right in zip(found["by name"], found["by class"], strict=True):
        np.testing.assert_array_equal(left, right)
    assert any(
        left.shape != right.shape or not np.array_equal(left, right)
        for left, right in zip(found["plain"], found["by class"], strict=True)
    )


# --- what mmdet ships


def shipped() -> list[Path]:
    """The first pure Python config of each kind that mmdet ships."""
    spec = find_spec("mmdet")
    folder = Path(str(spec.origin)).parent / "configs" if spec else Path("absent")
    kinds = [kind for kind in sorted(folder.glob("*")) if kind.name not in ("_base_", "common")]
    firsts = [next(iter(sorted(kind.glob("*.py"))), None) for kind in kinds]
    return [path for path in firsts if path is not None and "read_base" in path.read_text()]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", WAYS)
def test_one_of_each_kind_that_is_shipped(where):
    found = shipped()
    if not found:
        pytest.skip("this mmdet ships no pure Python configs")
    for path in found:
        restored = with_jpeg_restore(path, where=where)
        assert "Jpeg" in transform_name(restored.test_dataloader.dataset.pipeline[1])
