"""The files that the authors of the networks published: recognised by their tensors' names.

What a file is built with (channels, widths, numbers of blocks) is read off the shapes of its
tensors; what no shape tells is what the authors' code has.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from jpeg_preproc.checkpoint import read_checkpoint
from jpeg_preproc.errors import WeightsError
from jpeg_preproc.io import sha256_file
from jpeg_preproc.restorers import arcnn, d2lnet_official, dncnn3, fbcnn, qgcn
from jpeg_preproc.restorers.registry import build_restorer, restorer_class
from jpeg_preproc.restorers.weights import WeightsManifest, fill, save_weights

State = dict[str, Tensor]

#: Where a training's file keeps the weights, the first that is there.
_NESTS = ("params_ema", "params", "state_dict", "model")
_MEND = (
    "If you trust where it is from, give --trust-checkpoint (in Python trust=True), with the "
    "authors' own code importable; else save its state dict alone and convert that"
)


@dataclass(frozen=True)
class OfficialFormat:
    """How the authors of a network store it.

    Attributes:
        restorer: The registered network.
        files: What is published in this form.
        marks: Regular expressions, each of which a name of a tensor matches.
        settings: Returns the network's constructor arguments, from the tensors by name.
        rename: Returns the tensors by our names.
    """

    restorer: str
    files: str
    marks: tuple[str, ...]
    settings: Callable[[State], dict[str, Any]]
    rename: Callable[[State], State]

    def fits(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether the names of the tensors are those of this form."""
        return all(any(re.fullmatch(mark, key) for key in state) for mark in self.marks)


def _arcnn(state: State) -> dict[str, Any]:
    return {"channels": state["c1.weight"].shape[1], "luma": "studio"}


def _dncnn3(state: State) -> dict[str, Any]:
    numbers = sorted(int(key.split(".")[-2]) for key, value in state.items() if value.ndim == 4)
    prefix = "model." if "model.0.weight" in state else ""
    first, last = (state[f"{prefix}{number}.weight"] for number in (numbers[0], numbers[-1]))
    if len(numbers) != 20 or first.shape[1] != last.shape[0]:
        raise WeightsError(
            f"it has {len(numbers)} convolutions, from {first.shape[1]} channels to "
            f"{last.shape[0]}; DnCNN-3 has 20, and as many channels at both ends. KAIR keeps other "
            "denoisers in the same form"
        )
    return {
        "channels": first.shape[1],
        "width": first.shape[0],
        "batch_norm": any(key.endswith("running_mean") for key in state),
    }


def _fbcnn(state: State) -> dict[str, Any]:
    coarser = [state[f"m_down{level}.4.weight"].shape[0] for level in (1, 2, 3)]
    return {
        "channels": state["m_head.weight"].shape[1],
        "widths": [state["m_head.weight"].shape[0], *coarser],
        "embedding": state["qf_embed.0.weight"].shape[0],
    }


def _qcn(state: State) -> dict[str, Any]:
    blocks = {key for key in state if re.fullmatch(r"residual[12]?\.\d+\.conv1\.weight", key)}
    return {
        "channels": state["conv_output.weight"].shape[0],
        "width": state["conv_output.weight"].shape[1],
        "num_blocks": len(blocks),
    }


def _qgcn(state: State) -> dict[str, Any]:
    return {
        **_qcn(state),
        "global_width": state["conv_global.0.weight"].shape[0],
        "global_hidden": state["conv_global_l.0.weight"].shape[0],
    }


def _d2lnet(state: State) -> dict[str, Any]:
    return {
        "channels": state["conv_01.0.weight"].shape[1],
        "widths": [state[f"down_path_1.{level}.conv_2.weight"].shape[0] for level in range(4)],
        "order": "code",
        "phase_ramp": 0.0,
        "orthonormal": False,
    }


#: In the order in which a file is tried.
OFFICIAL_FORMATS = (
    OfficialFormat(
        "ARCNN",
        "AR-CNN's four files, arcnn_q10.pth to arcnn_q40.pth",
        (r"c1\.weight", r"c22\.weight", r"c3\.weight"),
        _arcnn,
        arcnn.from_official,
    ),
    OfficialFormat(
        "FBCNN",
        "fbcnn_color.pth and fbcnn_gray.pth of jiaxi-jiang/FBCNN",
        (r"m_head\.weight", r"qf_embed\.0\.weight", r"to_gamma_3\.0\.weight"),
        _fbcnn,
        fbcnn.from_official,
    ),
    OfficialFormat(
        "QGCN",
        "models of VDIGPKU/QGCN, qmarg",
        (r"conv_input\.weight", r"residual1\.0\.conv1\.weight", r"conv_global_l\.0\.weight"),
        _qgcn,
        qgcn.from_official,
    ),
    OfficialFormat(
        "QCN",
        "models of VDIGPKU/QGCN, qmar",
        (r"conv_input\.weight", r"residual\.0\.conv1\.weight"),
        _qcn,
        qgcn.from_official,
    ),
    OfficialFormat(
        "D2LNet",
        "models of YeunkSuzy/Dual_Domain_Learning",
        (r"conv_01\.0\.weight", r"sam12\.conv1\.weight", r"down_path_1\.0\.conv_fft_1\.weight"),
        _d2lnet,
        d2lnet_official.from_official,
    ),
    OfficialFormat(
        "DnCNN3",
        "dncnn3.pth of cszn/KAIR",
        (r"(model\.)?0\.weight", r"(model\.)?2\.weight", r"(model\.)?2\.bias"),
        _dncnn3,
        dncnn3.from_official,
    ),
)


def convert_official(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    licence: str = "",
    trust: bool = False,
) -> WeightsManifest:
    """Write a published checkpoint as safetensors with a manifest, and return the manifest.

    Args:
        checkpoint: File that authors published, as ``torch.save`` wrote it.
        out: The weights file to write, which ends in ``.safetensors``.
        licence: Licence of the weights, for the manifest.
        trust: Load a checkpoint that holds more than tensors, which runs whatever code it names.

    Raises:
        UntrustedCheckpointError: It holds more than tensors, and is not trusted.
        WeightsError: It is missing, damaged, or of no network known here; or ``out`` has another
            suffix.
    """
    target = Path(out)
    if target.suffix != ".safetensors":
        raise WeightsError(f"{target}: weights are .safetensors files; give a name that ends so")
    state = _tensors(read_checkpoint(checkpoint, trust=trust, mend=_MEND), checkpoint)
    form = next((form for form in OFFICIAL_FORMATS if form.fits(state)), None)
    if form is None:
        known = "; ".join(f"{form.restorer} ({form.files})" for form in OFFICIAL_FORMATS)
        raise WeightsError(
            f"{checkpoint}: its tensors ({', '.join(list(state)[:3])}, …) are of no network that "
            f"is known here. Known are: {known}"
        )
    try:
        preset, settings = _preset(form.restorer, form.settings(state))
        network = build_restorer(form.restorer, preset, **settings)
        fill(network, form.rename(state), source=str(checkpoint))
    except WeightsError as error:
        raise WeightsError(f"{checkpoint}, taken for {form.restorer}: {error}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{checkpoint} has the names of {form.restorer} ({form.files}), but {error} does not "
            "fit; give the file as its authors published it"
        ) from error
    origin = {
        "converted_from": Path(checkpoint).name,
        "sha256": sha256_file(Path(checkpoint)),
        "published_as": form.files,
    }
    return save_weights(
        network, target, preset=preset, settings=settings, training=origin, licence=licence
    )


def _tensors(loaded: Any, path: str | os.PathLike[str]) -> State:
    """Return a checkpoint's tensors by name, out of what a training has put around them."""
    while not isinstance(loaded, nn.Module):
        nest = next((name for name in _NESTS if isinstance(loaded, Mapping) and name in loaded), "")
        if not nest:
            break
        loaded = loaded[nest]
    if isinstance(loaded, nn.Module):
        loaded = loaded.state_dict()
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, and no tensors by name")
    state = {
        str(key).removeprefix("module."): value
        for key, value in loaded.items()
        if isinstance(value, Tensor)
    }
    if not state:
        raise WeightsError(f"{path} holds no tensors by name; give the file with the weights")
    return state


def _preset(restorer: str, wanted: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the preset that is nearest to the arguments, and those that differ from it."""
    network = restorer_class(restorer)
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(network).parameters.items()
    }

    def differing(preset: str) -> dict[str, Any]:
        has = {**defaults, **network.presets[preset]}
        return {key: value for key, value in wanted.items() if _plain(has[key]) != _plain(value)}

    preset = min(network.presets, key=lambda name: len(differing(name)))
    return preset, differing(preset)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
