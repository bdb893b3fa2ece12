"""Published files: recognised by their tensors, filled into the network, used like our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_d2lnet_official import official_shapes as d2lnet_shapes
from test_dncnn3 import official_shapes as dncnn3_shapes
from test_fbcnn import official_shapes as fbcnn_shapes
from test_qgcn_official import official_shapes as qgcn_shapes

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.cli import main
from jpeg_preproc.errors import UntrustedCheckpointError, WeightsError
from jpeg_preproc.jpeg import decode_jpeg
from jpeg_preproc.restorers import load_weights
from jpeg_preproc.restorers.official import OFFICIAL_FORMATS, convert_official

ARCNN = {"c1": (64, 1, 9, 9), "c2": (32, 64, 7, 7), "c22": (16, 32, 1, 1), "c3": (1, 16, 5, 5)}
SMALL = {"widths": (8, 16, 24, 32), "embedding": 24}
CODE = {"order": "code", "phase_ramp": 0.0, "orthonormal": False}


def arcnn_shapes():
    biases = {f"{layer}.bias": shape[:1] for layer, shape in ARCNN.items()}
    return {f"{layer}.weight": shape for layer, shape in ARCNN.items()} | biases


def save(shapes, path: Path, wrap=lambda state: state) -> Path:
    """A checkpoint of random tensors of these shapes."""
    torch.manual_seed(0)
    state = {
        key: torch.ones(shape, dtype=torch.long)
        if key.endswith("num_batches_tracked")
        else 0.02 * torch.rand(shape)
        for key, shape in shapes.items()
    }
    torch.save(wrap(state), path)
    return path


@pytest.mark.parametrize(
    "shapes,restorer,preset,settings",
    [
        (arcnn_shapes(), "ARCNN", "grey", {"luma": "studio"}),
        (dncnn3_shapes(1, False), "DnCNN3", "paper", {}),
        (dncnn3_shapes(1, True), "DnCNN3", "paper-batchnorm", {}),
        (dncnn3_shapes(3, False), "DnCNN3", "paper-colour", {}),
        (fbcnn_shapes(3, **SMALL), "FBCNN", "paper", {"widths": [8, 16, 24, 32], "embedding": 24}),
        (qgcn_shapes("qmar", colour=True), "QCN", "paper", {}),
        (qgcn_shapes("qmarg", colour=False), "QGCN", "paper-grey", {}),
        (d2lnet_shapes(width=4), "D2LNet", "paper", {"widths": [4, 8, 16, 32], **CODE}),
    ],
    ids=["arcnn", "dncnn3", "batchnorm", "dncnn3-colour", "fbcnn", "qcn", "qgcn", "d2lnet"],
)
def test_a_file_is_recognised_and_its_settings_read_off_the_shapes(
    tmp_path, photo, shapes, restorer, preset, settings
):
    file = save(shapes, tmp_path / "theirs.pth")
    manifest = convert_official(file, tmp_path / "ours.safetensors", licence="MIT")
    assert (manifest.restorer, manifest.preset, manifest.licence) == (restorer, preset, "MIT")
    assert manifest.settings == settings
    assert manifest.training["converted_from"] == "theirs.pth"
    network, read = load_weights(tmp_path / "ours.safetensors")
    assert read == manifest
    result = JpegRestorer(network)(compress_jpeg(photo[:40, :48], qf=20))
    assert result.image.shape == (40, 48, 3)


def test_full_size_networks_are_taken_for_their_presets():
    for shapes, restorer in ((fbcnn_shapes(1), "FBCNN"), (d2lnet_shapes(), "D2LNet")):
        state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        (form,) = [form for form in OFFICIAL_FORMATS if form.fits(state)]
        assert form.restorer == restorer
        wanted = form.settings(state)
        assert wanted["widths"] == [64, 128, 256, 512]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"params": {}, "params_ema": state},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
    ],
    ids=["state_dict", "params_ema", "module"],
)
def test_what_a_training_puts_around_the_tensors_is_taken_off(tmp_path, wrap):
    file = save(arcnn_shapes(), tmp_path / "theirs.pth", wrap)
    assert convert_official(file, tmp_path / "a.safetensors").restorer == "ARCNN"


def test_a_pickled_module_is_refused_until_trusted(tmp_path):
    network = torch.nn.Module()
    for name, shape in ARCNN.items():
        size = shape[2]
        network.add_module(name, torch.nn.Conv2d(shape[1], shape[0], size, padding=size // 2))
    torch.save({"model": network}, tmp_path / "module.pth")
    with pytest.raises(UntrustedCheckpointError, match="--trust-checkpoint"):
        convert_official(tmp_path / "module.pth", tmp_path / "a.safetensors")
    manifest = convert_official(tmp_path / "module.pth", tmp_path / "a.safetensors", trust=True)
    assert manifest.restorer == "ARCNN"


def test_a_denoiser_of_the_same_form_is_no_dncnn3(tmp_path):
    shapes = {key: shape for key, shape in dncnn3_shapes(1, False).items() if key[:2] != "20"}
    with pytest.raises(WeightsError, match="19 convolutions"):
        convert_official(save(shapes, tmp_path / "ircnn.pth"), tmp_path / "a.safetensors")


def test_the_command_says_what_it_was_and_what_is_known(tmp_path, capsys):
    file = save(arcnn_shapes(), tmp_path / "theirs.pth")
    out = tmp_path / "ours.safetensors"
    assert main(["convert", str(file), str(out)]) == 0
    assert "ARCNN of preset grey, luma studio: 106,561 weights" in capsys.readouterr().out
    assert main(["convert", str(file), str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", str(file), str(tmp_path / "ours.pth"), "--overwrite"]) == 2
    assert ".safetensors" in capsys.readouterr().err
    other = save({"backbone.weight": (2, 2)}, tmp_path / "other.pth")
    assert main(["convert", str(other), str(tmp_path / "b.safetensors")]) == 2
    message = capsys.readouterr().err.replace("\n", " ")
    assert "backbone.weight" in message
    for name in ("ARCNN", "FBCNN", "QGCN", "QCN", "D2LNet", "DnCNN3"):
        assert name in message
    torch.save([1, 2], tmp_path / "list.pth")
    assert main(["convert", str(tmp_path / "list.pth"), str(tmp_path / "b.safetensors")]) == 2


def luma(pixels):
    """MATLAB's, 16-235, in which the papers' figures of LIVE1 are."""
    return 16 + pixels.astype(np.float64) @ [65.481, 128.553, 24.966] / 255


# Gain over JPEG on LIVE1 in luma at QF 10 that D2LNet's Table 1 gives for them: 28.96 and 29.19 dB
# of 27.77. Here it is of the middles of its 29 photographs, in colour and 4:2:0.
@pytest.mark.slow
@pytest.mark.parametrize("file,gain", [("arcnn_q10.pth", 1.19), ("dncnn3_grey.pth", 1.42)])
def test_official_files_give_colour_photographs_their_published_gain(
    shared_data, tmp_path, file, gain
):
    out = tmp_path / "ours.safetensors"
    convert_official(shared_data / "models" / file, out)
    restorer = JpegRestorer(out)
    gains = []
    for path in sorted((shared_data / "restoration" / "live1").glob("*.png")):
        clean = np.asarray(Image.open(path).convert("RGB"))
        top, left = ((size - 128) // 16 * 8 for size in clean.shape[:2])
        clean = clean[top : top + 128, left : left + 128]
        data = compress_jpeg(clean, qf=10)
        images = [decode_jpeg(data).pixels, restorer(data).image]
        errors = [np.mean((luma(image) - luma(clean)) ** 2) for image in images]
        gains.append(10 * np.log10(errors[0] / errors[1]))
    assert len(gains) == 29
    assert np.mean(gains) == pytest.approx(gain, abs=0.1)
