"""D2LNet's tensors under the names of the authors' code, YeunkSuzy/Dual_Domain_Learning."""

from __future__ import annotations

from torch import Tensor

from jpeg_preproc.errors import WeightsError

_LEVELS = 4
# Layers of a correction block, theirs and ours.
_SPATIAL = {"identity": "project", "conv_1": "spatial.0", "conv_2": "spatial.2"}
_FOURIER = {"conv_fft_1": "correct.0", "conv_fft_2": "correct.2", "sa.conv1": "attend.conv"}
_HALF_NORM = {"conv_1": "conv1", "norm": "norm", "conv_2": "conv2"}
_REFINE = {
    "conv_in": "head",
    "process.0.process.0": "body.0",
    "process.0.process.2": "body.2",
    "process.0.conv_du.0": "weigh.0",
    "process.0.conv_du.2": "weigh.2",
    "conv_last": "tail",
}
# Layers that the code registers in every block and runs in none of this kind.
_NEVER_RUN = (*_FOURIER, "identity", "conv_3")


def _official_layers() -> tuple[dict[str, str], set[str]]:
    """Return the layer names of the authors' code and ours, and those that it never runs."""
    layers: dict[str, str] = {}
    unused: set[str] = set()

    def block(theirs: str, ours: str, names: dict[str, str]) -> None:
        layers.update({f"{theirs}.{name}": f"{ours}.{own}" for name, own in names.items()})
        unused.update(f"{theirs}.{name}" for name in _NEVER_RUN if name not in names)

    for theirs, ours, norms in (
        ("conv_01", "stem1", 2),
        ("conv_02", "stem2", 2),
        ("pre_re", "stem3", 1),
    ):
        layers[f"{theirs}.0"] = f"{ours}.0"
        for index in range(1, norms + 1):
            block(f"{theirs}.{index}", f"{ours}.{index}", _HALF_NORM)
    for stage in (1, 2):
        ours = f"stage{stage}"
        for level in range(_LEVELS):
            path = f"down_path_{stage}.{level}"
            block(path, f"{ours}.encode.{level}", {**_SPATIAL, **_FOURIER})
            layers[f"{path}.downsample"] = f"{ours}.down.{level}"
            if stage == 2:
                layers[f"{path}.csff_enc"] = f"{ours}.fuse_encoded.{level}"
                layers[f"{path}.csff_dec"] = f"{ours}.fuse_decoded.{level}"
        for index in range(_LEVELS - 1):
            level = _LEVELS - 2 - index  # they count the way up from the coarsest
            layers[f"up_path_{stage}.{index}.up"] = f"{ours}.up.{level}"
            block(f"up_path_{stage}.{index}.conv_block", f"{ours}.decode.{level}", _SPATIAL)
            block(f"skip_conv_{stage}.{index}", f"{ours}.skip.{level}", _HALF_NORM)
    layers |= {
        "sam12.conv1": "attend.features",
        "sam12.conv2": "attend.to_image",
        "sam12.conv3": "attend.gate",
        "cat12": "merge",
    }
    for theirs, ours in (("last", "modulate1"), ("last2", "modulate2")):
        block(theirs, ours, _REFINE)
    return layers, unused


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the authors' state dict to ours, of ``order='code'``.

    What their code registers and never runs, 4,006,124 weights in full size, is left out.

    Raises:
        WeightsError: A tensor that D2LNet does not have.
    """
    layers, unused = _official_layers()
    renamed = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        if layer in unused:
            continue
        if layer not in layers:
            raise WeightsError(
                f"{key}: no tensor of the authors' D2LNet, whose names begin with conv_0, "
                "down_path_, up_path_, skip_conv_, sam12, cat12, last and pre_re"
            )
        renamed[f"{layers[layer]}.{kind}"] = value
    return renamed
