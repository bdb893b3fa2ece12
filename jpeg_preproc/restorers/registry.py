"""The one list of networks."""

from __future__ import annotations

from jpeg_preproc.errors import UnknownRestorerError
from jpeg_preproc.restorers.agarnet import AGARNet
from jpeg_preproc.restorers.arcnn import ARCNN
from jpeg_preproc.restorers.bilateral import Bilateral
from jpeg_preproc.restorers.contract import Restorer
from jpeg_preproc.restorers.d2lnet import D2LNet
from jpeg_preproc.restorers.dagn import DAGN
from jpeg_preproc.restorers.dncnn3 import DnCNN3
from jpeg_preproc.restorers.fbcnn import FBCNN
from jpeg_preproc.restorers.gridunet import GridUNet
from jpeg_preproc.restorers.qgcn import QCN, QGCN

_RESTORERS: dict[str, type[Restorer]] = {}


def register_restorer(network: type[Restorer]) -> type[Restorer]:
    """Add a network under its class name.

    Raises:
        ValueError: The name is taken; the registry stays as it was.
    """
    name = network.__name__
    if name in _RESTORERS:
        raise ValueError(f"restorer {name!r} is registered already, by {_RESTORERS[name]}")
    _RESTORERS[name] = network
    return network


for _network in (AGARNet, ARCNN, Bilateral, D2LNet, DAGN, DnCNN3, FBCNN, GridUNet, QCN, QGCN):
    register_restorer(_network)


def restorer_class(name: str) -> type[Restorer]:
    """Return the network class registered as ``name``.

    Raises:
        UnknownRestorerError: No such network.
    """
    try:
        return _RESTORERS[name]
    except KeyError:
        known = ", ".join(sorted(_RESTORERS))
        raise UnknownRestorerError(f"no restorer {name!r}; registered are: {known}") from None


def build_restorer(name: str, preset: str | None = None, **settings: object) -> Restorer:
    """Build a network with random weights.

    Args:
        name: A registered network, such as ``'GridUNet'``.
        preset: One of its presets; without, its first, the whole network.
        settings: Constructor arguments that replace the preset's.

    Raises:
        UnknownRestorerError: No such network or preset.
    """
    network = restorer_class(name)
    preset = next(iter(network.presets)) if preset is None else preset
    if preset not in network.presets:
        known = ", ".join(sorted(network.presets))
        raise UnknownRestorerError(f"{name} has no preset {preset!r}; it has: {known}")
    return network(**{**network.presets[preset], **settings})


def registered_names() -> tuple[str, ...]:
    """Return the names of all networks, sorted."""
    return tuple(sorted(_RESTORERS))
