"""A whole restorer as a torch program or an ONNX file, for any batch, height and width."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from jpeg_preproc.errors import QualityError, WeightsError
from jpeg_preproc.io import write_bytes_atomic
from jpeg_preproc.restorers.contract import Quality, Restorer

#: Sides of the smallest images that an exported graph takes, in pixels; torch's exporter would
#: take a side of one position at some scale for a constant.
MIN_SIDE = 64
_EXAMPLE_SIDE = 128
_OPSET = 18


class _Informed(nn.Module):
    """A network on plain tensors: image, luma and chroma tables, quality factor."""

    def __init__(self, network: Restorer) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, qtables: Tensor, qf: Tensor) -> Tensor:
        return self.network(image, Quality(qtables, qf)).image


class _Blind(nn.Module):
    """A network on the image alone."""

    def __init__(self, network: Restorer) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image, None).image


def export_program(network: Restorer, with_quality: bool | None = None) -> ExportedProgram:
    """Trace a network into one graph.

    Its inputs are ``image`` (N, C, H, W) in [0, 1], and with quality also ``qtables``
    (N, 2, 8, 8) and ``qf`` (N,); see :class:`~jpeg_preproc.restorers.contract.Quality`. Its output
    is the restored image, not clipped. Height and width are multiples of the network's
    ``spec.size_multiple``, of at least :data:`MIN_SIDE` pixels.

    Args:
        network: The network, in eval mode; it stays as it is.
        with_quality: Whether the graph takes the quality; ``None``: if the network looks at it.

    Raises:
        QualityError: ``with_quality`` is false and the network needs the quality.
    """
    needs = network.spec.quality
    if with_quality is None:
        with_quality = needs != "ignored"
    if needs == "required" and not with_quality:
        raise QualityError(
            f"{type(network).__name__} needs the quality: export it with with_quality=True"
        )
    multiple = network.spec.size_multiple
    smallest = -(-MIN_SIDE // multiple)
    batch = Dim("batch", min=1)
    sides = {
        2: multiple * Dim("rows", min=smallest),
        3: multiple * Dim("columns", min=smallest),
    }
    image = torch.rand(3, network.channels, _EXAMPLE_SIDE, _EXAMPLE_SIDE + multiple * 2)
    if not with_quality:
        return torch.export.export(
            _Blind(network), (image,), dynamic_shapes={"image": {0: batch, **sides}}
        )
    quality = Quality.from_qf([10, 50, 90])
    shapes: dict[str, Any] = {
        "image": {0: batch, **sides},
        "qtables": {0: batch},
        "qf": {0: batch},
    }
    return torch.export.export(
        _Informed(network), (image, quality.qtables, quality.qf), dynamic_shapes=shapes
    )


def export_onnx(
    network: Restorer, path: str | os.PathLike[str], with_quality: bool | None = None
) -> Path:
    """Write a network as an ONNX file (opset 18), with inputs and output as in `export_program`.

    Args:
        network: The network, in eval mode and on the CPU.
        path: The file, which is written whole or not at all.
        with_quality: Whether the graph takes the quality; see :func:`export_program`.

    Returns:
        The path.

    Raises:
        WeightsError: onnx or onnxscript is not installed.
        QualityError: See :func:`export_program`.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise WeightsError(
            f"exporting needs onnx and onnxscript ({error}); pip install 'jpeg_preproc[onnx]'"
        ) from error
    program = export_program(network, with_quality)
    written = torch.onnx.export(
        program, opset_version=_OPSET, dynamo=True, output_names=["restored"], verbose=False
    )
    if written is None:
        raise WeightsError(f"{path}: torch's exporter returned nothing")
    return write_bytes_atomic(Path(path), written.model_proto.SerializeToString())
