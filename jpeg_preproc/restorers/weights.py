"""Trained weights: one safetensors file and one JSON manifest that says what it is.

Safetensors hold numbers only, so loading runs no code. The manifest lies beside the file under
the same stem and names the network, its settings, the file's SHA-256, the training data and
what was measured; a disagreement between the two is an error that names both sides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from jpeg_preproc.errors import UnknownRestorerError, WeightsError
from jpeg_preproc.io import sha256_bytes, write_bytes_atomic, write_json_atomic
from jpeg_preproc.restorers.contract import Restorer
from jpeg_preproc.restorers.registry import build_restorer

_DICTIONARIES = ("settings", "training", "measured", "strength")
#: Weights that come with the package.
SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class WeightsManifest:
    """What a weights file is.

    Attributes:
        name: Name by which the weights are asked for.
        restorer: Registered network.
        preset: Its preset.
        sha256: SHA-256 of the safetensors file.
        parameters: Number of weights.
        settings: Constructor arguments that differ from the preset's.
        training: Data (with licence), steps, schedule.
        measured: Figures with their protocol.
        licence: Licence of the weights.
        strength: Share of the correction that is made unless a caller says otherwise, 0-1, by
            quality factor; between these it is interpolated, and empty it is 1 throughout.
    """

    name: str
    restorer: str
    preset: str
    sha256: str
    parameters: int
    settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    strength: dict[str, float] = field(default_factory=dict)

    def strength_at(self, qf: int | None) -> float:
        """Return the share of the correction to make at a quality; 1 where that is not known."""
        if qf is None or not self.strength:
            return 1.0
        factors = sorted(self.strength, key=float)
        return float(np.interp(qf, [*map(float, factors)], [self.strength[one] for one in factors]))


def strength_settings(
    strength: float | None, manifest: WeightsManifest | None
) -> dict[str, float | dict[str, float]]:
    """Return what a record of results says of the share of the correction that was made.

    It is what the caller asked for, else what the manifest says; nothing where neither says any.
    """
    if strength is not None:
        return {"strength": strength}
    if manifest is not None and manifest.strength:
        return {"weights_strength": manifest.strength}
    return {}


def shipped_names() -> tuple[str, ...]:
    """Return the names of the weights that come with the package, sorted."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.safetensors")))


def weights_path(name: str | os.PathLike[str]) -> Path:
    """Return the safetensors file that a shipped name or a path stands for.

    Raises:
        UnknownRestorerError: Neither a shipped name nor an existing file.
    """
    if name in shipped_names():
        return SHIPPED / f"{name}.safetensors"
    path = Path(name)
    if path.suffix == ".safetensors" and path.is_file():
        return path
    if path.is_file():
        raise WeightsError(
            f"{path}: weights are .safetensors files here; make one of a published "
            "checkpoint with `jpeg-preproc convert`, of your own with save_weights"
        )
    raise UnknownRestorerError(
        f"no restorer weights {str(name)!r}: shipped are {', '.join(shipped_names()) or 'none'}; "
        "or give the path of a .safetensors file"
    )


def read_manifest(path: str | os.PathLike[str]) -> WeightsManifest:
    """Read the manifest beside a weights file.

    Raises:
        WeightsError: It is absent, no JSON, or lacks a field.
    """
    source = Path(path).with_suffix(".json")
    try:
        manifest = WeightsManifest(**json.loads(source.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise WeightsError(
            f"{source}: no manifest beside the weights; get the file that came with them"
        ) from None
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{source}: not a manifest of restorer weights: {error}") from error
    kinds = {"parameters": int, **dict.fromkeys(_DICTIONARIES, dict)}
    for key, value in vars(manifest).items():
        if not isinstance(value, kinds.get(key, str)):
            raise WeightsError(
                f"{source}: its {key!r} is {value!r}, not of type "
                f"{kinds.get(key, str).__name__}; get the manifest that came with the weights"
            )
    return manifest


def load_weights(name: str | os.PathLike[str]) -> tuple[Restorer, WeightsManifest]:
    """Build the network that a weights file is for and fill it; on the CPU, fp32, eval mode.

    Args:
        name: A shipped name such as ``'base'``, or the path of a safetensors file.

    Raises:
        UnknownRestorerError: No such weights, network or preset.
        WeightsError: A damaged file, or one that does not fit its manifest or network.
    """
    path = weights_path(name)
    state, manifest = read_state(path)
    try:
        network = build_restorer(manifest.restorer, manifest.preset, **manifest.settings)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{path.with_suffix('.json')}: {manifest.restorer} cannot be built with its settings "
            f"{manifest.settings} ({error}); get the manifest that came with the weights"
        ) from error
    fill(network, state, source=str(path))
    return network.eval(), manifest


def read_state(path: Path) -> tuple[dict[str, Tensor], WeightsManifest]:
    """Return the tensors of a weights file by name, and its manifest.

    Raises:
        WeightsError: A damaged file, or one that its manifest does not belong to.
    """
    manifest = read_manifest(path)
    data = path.read_bytes()
    digest = sha256_bytes(data)
    if digest != manifest.sha256:
        raise WeightsError(
            f"{path}: SHA-256 is {digest[:16]}…, but its manifest says "
            f"{manifest.sha256[:16]}…; the file is damaged or another one: fetch it again"
        )
    try:
        state = load_safetensors(data)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a safetensors file ({error}); fetch it again") from error
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(
                f"{path}: its tensor {name} holds NaN or infinite numbers, so that every image "
                "would come out black or white; take weights from before the training diverged"
            )
    return state, manifest


def fill(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load ``state`` into ``network``; half precision is widened to the network's own.

    Raises:
        WeightsError: Names or shapes differ; says which, of the file and of the network.
    """
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in state.items()}
    if wanted != given:
        kind = type(network).__name__
        absent = sorted(wanted.keys() - given.keys())
        surplus = sorted(given.keys() - wanted.keys())
        shapes = [
            f"{key} is {given[key]}, {kind} has {wanted[key]}"
            for key in sorted(wanted.keys() & given.keys())
            if wanted[key] != given[key]
        ]
        parts = [
            f"{len(absent)} tensors absent (first {absent[0]})" if absent else "",
            f"{len(surplus)} unknown (first {surplus[0]})" if surplus else "",
            f"{len(shapes)} of another shape ({shapes[0]})" if shapes else "",
        ]
        raise WeightsError(
            f"{source}: does not fit {kind}: {'; '.join(part for part in parts if part)}; "
            "give the weights and the preset that belong together"
        )
    network.load_state_dict(state)


def save_weights(
    network: nn.Module,
    path: str | os.PathLike[str],
    *,
    preset: str,
    dtype: torch.dtype = torch.float32,
    settings: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    measured: dict[str, Any] | None = None,
    licence: str = "",
    strength: Mapping[str, float] | None = None,
) -> WeightsManifest:
    """Write a network's weights and their manifest, each atomically, and return the manifest.

    Args:
        network: The network whose state is saved.
        path: The file, which ends in ``.safetensors``; its stem becomes the name.
        preset: Preset that ``network`` was built from.
        dtype: Type in which floating-point numbers are stored.
        settings: Constructor arguments that differ from the preset's.
        training: What the manifest is to say of the training.
        measured: What the manifest is to say of measured figures.
        licence: Licence of the weights.
        strength: Share of the correction to make by quality factor, as the manifest says it.
    """
    target = Path(path)
    state = {
        key: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for key, value in network.state_dict().items()
    }
    data = save_safetensors(state)
    manifest = WeightsManifest(
        name=target.stem,
        restorer=type(network).__name__,
        preset=preset,
        sha256=sha256_bytes(data),
        parameters=sum(value.numel() for value in network.parameters()),
        settings=settings or {},
        training=training or {},
        measured=measured or {},
        licence=licence,
        strength=dict(strength or {}),
    )
    write_bytes_atomic(target, data)
    write_json_atomic(target.with_suffix(".json"), asdict(manifest))
    return manifest
