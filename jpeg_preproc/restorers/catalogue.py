"""What there is: networks with their cost, and the weights that are shipped for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerSpec
from jpeg_preproc.restorers.registry import build_restorer, registered_names, restorer_class
from jpeg_preproc.restorers.weights import (
    WeightsManifest,
    read_manifest,
    shipped_names,
    weights_path,
)


@dataclass(frozen=True)
class PresetCost:
    """Size of a preset.

    Attributes:
        parameters: Number of weights.
        macs_per_pixel: Multiply-accumulates.
        channels: Channels of the images: 3 is RGB, 1 is luma.
        receptive_radius: How far an output pixel sees, in pixels; ``None``: over the whole image.
    """

    parameters: int
    macs_per_pixel: float
    channels: int = 3
    receptive_radius: int | None = None


@dataclass(frozen=True)
class RestorerEntry:
    """A registered network.

    Attributes:
        spec: What it needs.
        presets: Preset name to its cost.
        weights: Names of shipped weights, which :class:`JpegRestorer` takes.
    """

    spec: RestorerSpec
    presets: dict[str, PresetCost]
    weights: tuple[str, ...]


@dataclass(frozen=True)
class WeightsEntry:
    """Weights that come with the package.

    Attributes:
        manifest: What they are, and what was measured.
        cost: Size of the network they are for.
        bytes: Size of the file.
    """

    manifest: WeightsManifest
    cost: PresetCost
    bytes: int


def macs(network: Restorer, height: int = 512, width: int = 512) -> int:
    """Return the multiply-accumulates of one image of ``height`` × ``width`` pixels.

    Convolutions and matrix products are counted, as torch's counter does; element-wise work is
    not. Nothing is computed if the network lies on the ``meta`` device.
    """
    weight = next(network.parameters())
    image = weight.new_zeros(1, network.channels, height, width)
    quality = Quality.from_qf(50).to(weight.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image, quality)
    return int(counter.get_total_flops()) // 2


def list_restorers() -> dict[str, RestorerEntry]:
    """Return every registered network by name, with its presets' cost and shipped weights."""
    trained: dict[str, list[str]] = {}
    for name in shipped_names():
        trained.setdefault(read_manifest(weights_path(name)).restorer, []).append(name)
    entries = {}
    for name in registered_names():
        network = restorer_class(name)
        presets = {preset: _cost(name, preset, {}) for preset in network.presets}
        entries[name] = RestorerEntry(network.spec, presets, tuple(trained.get(name, ())))
    return entries


def list_weights() -> dict[str, WeightsEntry]:
    """Return the weights that come with the package by name."""
    entries = {}
    for name in shipped_names():
        path = weights_path(name)
        manifest = read_manifest(path)
        cost = _cost(manifest.restorer, manifest.preset, manifest.settings)
        entries[name] = WeightsEntry(manifest, cost, path.stat().st_size)
    return entries


def _cost(name: str, preset: str, settings: dict[str, Any]) -> PresetCost:
    network: Any = restorer_class(name)  # mypy takes classes of modules for unhashable
    return _cost_of(network, name, preset, json.dumps(settings, sort_keys=True))


@cache
def _cost_of(network: object, name: str, preset: str, settings: str) -> PresetCost:
    """Return a cost, which takes a tenth of a second, once for a class and all that it is given."""
    with torch.device("meta"):
        built = build_restorer(name, preset, **json.loads(settings))
    return PresetCost(
        parameters=sum(value.numel() for value in built.parameters()),
        macs_per_pixel=macs(built) / 512**2,
        channels=built.channels,
        receptive_radius=built.receptive_radius,
    )
