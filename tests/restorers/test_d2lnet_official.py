"""D2LNet under its authors' names: a second implementation, written on those names alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from jpeg_preproc.errors import WeightsError
from jpeg_preproc.restorers import build_restorer
from jpeg_preproc.restorers.d2lnet_official import from_official
from jpeg_preproc.restorers.weights import fill


def official_shapes(channels=3, width=64):
    """Names and shapes of the code's D2LNet, those of layers that it never runs included."""
    shapes = {}

    def conv(name, inputs, outputs, size, bias=True):
        shapes[f"{name}.weight"] = (outputs, inputs, size, size)
        if bias:
            shapes[f"{name}.bias"] = (outputs,)

    def half_norm(name, width):
        conv(f"{name}.identity", width, width, 1)
        conv(f"{name}.conv_1", width, width, 3)
        conv(f"{name}.conv_2", width, width, 3)
        conv(f"{name}.conv_3", 2 * width, width, 3)
        shapes[f"{name}.norm.weight"] = shapes[f"{name}.norm.bias"] = (width // 2,)

    def block(name, inputs, outputs):
        conv(f"{name}.identity", inputs, outputs, 1)
        conv(f"{name}.sa.conv1", 2, 1, 3, bias=False)
        conv(f"{name}.conv_1", inputs, outputs, 3)
        conv(f"{name}.conv_2", outputs, outputs, 3)
        conv(f"{name}.conv_fft_1", outputs, outputs, 1)
        conv(f"{name}.conv_fft_2", outputs, outputs, 1)

    for stem, count in (("conv_01", 2), ("conv_02", 2), ("pre_re", 1)):
        conv(f"{stem}.0", channels, width, 3)
        for index in range(1, count + 1):
            half_norm(f"{stem}.{index}", width)
    widths = [width * 2**level for level in range(4)]
    for stage in (1, 2):
        for level, (inputs, outputs) in enumerate(zip([width, *widths[:3]], widths, strict=True)):
            name = f"down_path_{stage}.{level}"
            block(name, inputs, outputs)
            if level < 3:
                conv(f"{name}.downsample", outputs, outputs, 4, bias=False)
                if stage == 2:
                    conv(f"{name}.csff_enc", outputs, outputs, 3)
                    conv(f"{name}.csff_dec", outputs, outputs, 3)
        for index in range(3):
            fine, coarse = widths[2 - index], widths[3 - index]
            name = f"up_path_{stage}.{index}"
            shapes[f"{name}.up.weight"] = (coarse, fine, 2, 2)
            shapes[f"{name}.up.bias"] = (fine,)
            block(f"{name}.conv_block", coarse, fine)
            half_norm(f"skip_conv_{stage}.{index}", fine)
    conv("sam12.conv1", width, width, 3)
    conv("sam12.conv2", width, channels, 3)
    conv("sam12.conv3", channels, width, 3)
    conv("cat12", 2 * width, width, 1)
    for name in ("last", "last2"):
        conv(f"{name}.conv_in", width, width, 3)
        conv(f"{name}.process.0.process.0", width, width, 3)
        conv(f"{name}.process.0.process.2", width, width, 3)
        conv(f"{name}.process.0.conv_du.0", width, width // 4, 1)
        conv(f"{name}.process.0.conv_du.2", width // 4, width, 1)
        conv(f"{name}.conv_last", width, channels, 3)
    return shapes


def random_state(**sizes):
    torch.manual_seed(0)
    return {
        key: torch.randn(shape) / max(1, torch.Size(shape[1:]).numel()) ** 0.5
        for key, shape in official_shapes(**sizes).items()
    }


class Reference:
    """What the authors' forward() computes, in functions on their tensors."""

    def __init__(self, state):
        self.state = state

    def conv(self, name, x, **how):
        weight = self.state[f"{name}.weight"]
        how.setdefault("padding", weight.shape[-1] // 2)
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), **how)

    def half_norm(self, name, x):
        hidden = F.leaky_relu(self.conv(f"{name}.conv_1", x), 0.2)
        half = hidden.shape[1] // 2
        weight, bias = self.state[f"{name}.norm.weight"], self.state[f"{name}.norm.bias"]
        normed = F.instance_norm(hidden[:, :half], weight=weight, bias=bias)
        hidden = torch.cat([normed, hidden[:, half:]], dim=1)
        return x + F.leaky_relu(self.conv(f"{name}.conv_2", hidden), 0.2)

    def stem(self, name, x):
        x = self.conv(f"{name}.0", x)
        for index in (1, 2):
            if f"{name}.{index}.conv_1.weight" in self.state:
                x = self.half_norm(f"{name}.{index}", x)
        return x

    def block(self, name, x, kind=""):
        out = F.leaky_relu(self.conv(f"{name}.conv_1", x), 0.2)
        out = F.leaky_relu(self.conv(f"{name}.conv_2", out), 0.2)
        kept = self.conv(f"{name}.identity", x)
        if not kind:
            return out + kept
        bins = torch.fft.fft2(kept)
        amplitude, angle = bins.abs(), bins.angle()

        def correct(value):
            hidden = F.leaky_relu(self.conv(f"{name}.conv_fft_1", value), 0.2)
            return self.conv(f"{name}.conv_fft_2", hidden)

        if kind == "phase":
            angle = correct(angle)
        else:
            amplitude = correct(amplitude)
        fourier = torch.fft.ifft2(amplitude * torch.exp(1j * angle)).real
        apart = out - fourier
        pooled = torch.cat([apart.mean(1, keepdim=True), apart.amax(1, keepdim=True)], dim=1)
        return out * torch.sigmoid(self.conv(f"{name}.sa.conv1", pooled)) + kept + fourier

    def stage(self, number, x, kind, earlier=None):
        encoded, decoded = [], []
        for level in range(4):
            name = f"down_path_{number}.{level}"
            x = self.block(name, x, kind)
            if level == 3:
                break
            if earlier is not None:
                x = x + self.conv(f"{name}.csff_enc", earlier[0][level])
                x = x + self.conv(f"{name}.csff_dec", earlier[1][2 - level])
            encoded.append(x)
            x = self.conv(f"{name}.downsample", x, stride=2, padding=1)
        for index in range(3):
            name = f"up_path_{number}.{index}"
            weight, bias = self.state[f"{name}.up.weight"], self.state[f"{name}.up.bias"]
            x = F.conv_transpose2d(x, weight, bias, stride=2)
            skip = self.half_norm(f"skip_conv_{number}.{index}", encoded[2 - index])
            x = self.block(f"{name}.conv_block", torch.cat([x, skip], dim=1))
            decoded.append(x)
        return encoded, decoded

    def refine(self, name, x):
        x = self.conv(f"{name}.conv_in", x)
        inner = f"{name}.process.0"
        hidden = self.conv(f"{inner}.process.2", F.relu(self.conv(f"{inner}.process.0", x)))
        weights = F.relu(self.conv(f"{inner}.conv_du.0", hidden.mean((2, 3), keepdim=True)))
        weights = torch.sigmoid(self.conv(f"{inner}.conv_du.2", weights))
        return self.conv(f"{name}.conv_last", weights * hidden + x)

    def __call__(self, image):
        first = self.stage(1, self.stem("conv_01", image), "phase")
        features = first[1][-1]
        restored = self.conv("sam12.conv2", features) + image
        gate = torch.sigmoid(self.conv("sam12.conv3", restored))
        gated = self.conv("sam12.conv1", features) * gate + features
        angle = torch.fft.rfft2(restored).angle()
        mixed = torch.fft.irfft2(torch.fft.rfft2(image).abs() * torch.exp(1j * angle))
        x = self.conv("cat12", torch.cat([self.stem("conv_02", mixed), gated], dim=1))
        second = self.stage(2, x, "amplitude", first)
        refined = self.refine("last", second[1][-1]) + image
        return self.refine("last2", self.stem("pre_re", refined)) + refined


def test_the_names_are_as_many_as_the_authors_network_has():
    # networks.md 3.3: 29,620,645 registered, of which 25,614,521 receive a gradient.
    state = {key: torch.empty(shape, device="meta") for key, shape in official_shapes().items()}
    assert sum(value.numel() for value in state.values()) == 29_620_645
    used = from_official(state)
    assert sum(value.numel() for value in used.values()) == 25_614_521
    with torch.device("meta"):
        network = build_restorer("D2LNet", "paper", order="code")
    fill(network, used, source="test")


def test_equals_a_second_implementation_on_the_authors_names():
    state = random_state(width=8)
    code = {"order": "code", "phase_ramp": 0.0, "orthonormal": False}
    network = build_restorer("D2LNet", "paper", widths=(8, 16, 32, 64), **code).eval()
    fill(network, from_official(state), source="test")
    # In fp32 a rounding turns single bins from one side of the phase's cut to the other.
    network.double()
    image = torch.rand(2, 3, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        expected = Reference({key: value.double() for key, value in state.items()})(image)
        found = network(image).image
    assert (expected - found).abs().max() < 1e-3 * expected.std()


def test_other_weights_are_refused():
    with pytest.raises(WeightsError, match=r"conv_03\.0\.weight"):
        from_official({"conv_03.0.weight": torch.zeros(1)})
