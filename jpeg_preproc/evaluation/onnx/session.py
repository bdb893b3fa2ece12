"""An ONNX file in onnxruntime: loaded, its image input found, run; one error for what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jpeg_preproc.errors import ModelError
from jpeg_preproc.evaluation.onnx.inputs import InputSettings, Size
from jpeg_preproc.io import sha256_bytes, sha256_file

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(bool)": np.dtype(np.bool_),
}
_IMAGE_DTYPES = ("tensor(float)", "tensor(float16)", "tensor(double)", "tensor(uint8)")
# onnxruntime logs this and worse; warnings are about what it optimises.
_ERROR = 3


class OnnxSession:
    """A model that takes one image at a time.

    Attributes:
        path: The file.
        layout: ``'NCHW'`` or ``'NHWC'``.
        dtype: Dtype of the image input.
        size: Height and width of the image input; ``None`` where the model takes any.

    Args:
        path: ``.onnx`` file; weights kept beside it are found by onnxruntime.
        settings: Which input is the image, its layout, and what the others are given.
        device: ``'cpu'``, ``'cuda'`` or ``'cuda:1'``.

    Raises:
        ModelError: onnxruntime or the device is not there, the file is no ONNX model, or its
            inputs are not those of the settings.
    """

    def __init__(
        self, path: str | os.PathLike[str], settings: InputSettings, device: str = "cpu"
    ) -> None:
        self.path = Path(path)
        self._session, self._errors = _open(self.path, device)
        self._image = self._find_image_input(settings.input_name)
        self.dtype = _DTYPES[self._image.type]
        self.layout = self._find_layout(settings.layout)
        rows = 2 if self.layout == "NCHW" else 1
        height, width = (
            side if isinstance(side, int) and side > 0 else None
            for side in self._image.shape[rows : rows + 2]
        )
        self.size: Size | None = (height, width) if height and width else None
        self._extra = self._convert_extra(settings.extra_inputs)

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name.

        Args:
            image: A batch of one in :attr:`layout` and :attr:`dtype`.

        Raises:
            ModelError: The model cannot take it.
        """
        names = [output.name for output in self._session.get_outputs()]
        try:
            values = self._session.run(names, {self._image.name: image, **self._extra})
        except self._errors as error:
            raise ModelError(
                f"{self.path} fails on an input of shape {image.shape}: {error}; {self.inputs()}: "
                "set model.input_size, layout and extra_inputs accordingly"
            ) from error
        arrays = {
            name: value
            for name, value in zip(names, values, strict=True)
            if isinstance(value, np.ndarray)
        }
        return arrays

    def inputs(self) -> str:
        """Say what the model takes."""
        return f"its inputs are {_listed(self._session.get_inputs())}"

    def _find_image_input(self, name: str | None) -> Any:
        inputs = {item.name: item for item in self._session.get_inputs()}
        if name is not None and name not in inputs:
            raise ModelError(
                f"{self.path} has no input {name!r}; {self.inputs()}: set model.input_name to one"
            )
        if name is None:
            images = [item for item in inputs.values() if len(item.shape) == 4]
            if len(images) != 1:
                raise ModelError(
                    f"{self.path}: which input takes the image is not clear; {self.inputs()}: set "
                    "model.input_name to the one of shape (1, 3, height, width) or "
                    "(1, height, width, 3)"
                )
            name = images[0].name
        found = inputs[name]
        if len(found.shape) != 4 or found.type not in _IMAGE_DTYPES:
            raise ModelError(
                f"{self.path}: input {name!r} takes no image: it is {_listed([found])}, where four "
                "dimensions of float, float16 or uint8 are needed"
            )
        if isinstance(found.shape[0], int) and found.shape[0] not in (1, -1):
            raise ModelError(
                f"{self.path} takes batches of {found.shape[0]} images alone; export it for "
                "batches of 1 or of any size"
            )
        return found

    def _find_layout(self, given: str | None) -> str:
        shape = self._image.shape
        axes = {"NCHW": shape[1], "NHWC": shape[3]}
        known = [layout for layout, channels in axes.items() if channels == 3]
        # A side without a number may be 3 as well as any other.
        fitting = known or [name for name, side in axes.items() if not isinstance(side, int)]
        if given in fitting:
            return given
        if given is None and len(fitting) == 1:
            return fitting[0]
        unclear = fitting and given is None
        raise ModelError(
            f"{self.path}: where the 3 colour channels are in {_listed([self._image])} is "
            f"{'not clear' if unclear else f'not as model.layout={given!r} says'}; set "
            "model.layout to 'NCHW' or 'NHWC', and export a model of colour images"
        )

    def _convert_extra(self, extra: Mapping[str, Any]) -> dict[str, np.ndarray]:
        others = {
            item.name: item for item in self._session.get_inputs() if item.name != self._image.name
        }
        if others.keys() != extra.keys():
            raise ModelError(
                f"{self.path} takes {', '.join(sorted(others)) or 'nothing'} beside the image, and "
                f"model.extra_inputs gives {', '.join(sorted(extra)) or 'nothing'}; "
                f"{self.inputs()}"
            )
        try:
            return {
                name: np.asarray(value, _DTYPES[others[name].type]) for name, value in extra.items()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self.path}: model.extra_inputs cannot be given to it: {error}; {self.inputs()}"
            ) from error


def model_digest(path: Path) -> str:
    """Return a SHA-256 over a model's file and the weights beside it, which are called after it.

    Raises:
        ModelError: The file is missing.
    """
    _require_file(path)
    beside = sorted(
        item
        for item in path.parent.iterdir()
        if item.name.startswith(path.name) and item != path and item.is_file()
    )
    if not beside:
        return sha256_file(path)
    return sha256_bytes("".join(sha256_file(item) for item in (path, *beside)).encode())


def _open(path: Path, device: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """Return a session, and the exceptions that onnxruntime raises."""
    try:
        import onnxruntime as runtime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise ModelError(
            f"{path} needs onnxruntime ({error}); pip install 'jpeg_preproc[onnx]', or "
            "onnxruntime-gpu for CUDA"
        ) from error
    # They have no base of their own.
    named = ["Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented"]
    named += ["NoModel", "NoSuchFile", "EPFail", "RuntimeException"]
    own = [getattr(state, name) for name in named if hasattr(state, name)]
    errors = (*own, RuntimeError, ValueError)
    _require_file(path)
    providers, wanted = _providers(device, runtime.get_available_providers(), path)
    options = runtime.SessionOptions()
    options.log_severity_level = _ERROR
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = runtime.InferenceSession(str(path), options, providers=providers)
    except errors as error:
        raise ModelError(
            f"{path} cannot be loaded as an ONNX model by onnxruntime {runtime.__version__}: "
            f"{error}; give the .onnx file of a model, or export it again"
        ) from error
    if wanted not in session.get_providers():
        raise ModelError(
            f"{path}: onnxruntime could not start on {device!r} (its CUDA and cuDNN libraries are "
            "missing or of another version); mend that, or give --device cpu"
        )
    return session, errors


def _providers(device: str, available: Iterable[str], path: Path) -> tuple[list[Any], str]:
    """Return onnxruntime's providers for a device, and the one that must be among those started."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return ["CPUExecutionProvider"], "CPUExecutionProvider"
    if kind != "cuda" or not (index or "0").isdigit():
        raise ModelError(f"{path}: device {device!r} is none of onnxruntime's; give cpu or cuda:0")
    wanted = "CUDAExecutionProvider"
    if wanted not in available:
        raise ModelError(
            f"{path}: this onnxruntime runs on {', '.join(available)} alone, not on CUDA; install "
            "onnxruntime-gpu in its place, or give --device cpu"
        )
    return [(wanted, {"device_id": int(index or 0)}), "CPUExecutionProvider"], wanted


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"{path} does not exist; give the .onnx file of the model")


def _listed(items: Iterable[Any]) -> str:
    """Return name, shape and type of inputs or outputs, for messages."""
    return ", ".join(
        f"{item.name!r} ({', '.join(str(side) for side in item.shape)}) "
        f"{item.type.removeprefix('tensor(').removesuffix(')')}"
        for item in items
    )
