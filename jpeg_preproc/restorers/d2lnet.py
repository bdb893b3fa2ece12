"""D2LNet: Yang, Lin, Wu, Wang, "Dual-Domain Learning for JPEG Artifacts Removal", ICONIP 2023.

Two U-shaped stages. The encoder blocks of one stage correct the amplitude of the features'
Fourier transform, those of the other its phase. Between the stages the image is put together
again from the corrected amplitude (or phase) and the other half of the input's spectrum, and a
supervised attention module carries features over. One set of weights serves one quality factor;
it is not told which.

The paper gives equations, the authors' code (YeunkSuzy/Dual_Domain_Learning) the layers. Where
the two differ:

* The paper corrects amplitude first, the code phase first: the argument ``order``.
* Eqs. 6-10 transform the block's input and use ReLU; the code transforms a 1×1 projection of it,
  adds that projection to the result, and uses LeakyReLU. This file has the code's form.
* Eq. 3 is the orthonormal transform, the code's is not: the argument ``orthonormal``.
* The paper names a parameter-free attention, the code has a convolution: ``attention``.
* Layers that the code registers and never uses are left out: 25,614,521 parameters of 29,620,645.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec
from jpeg_preproc.restorers.fourier import (
    full_precision,
    phase,
    recombine,
    spectrum,
    swap_amplitude,
)

Correction = Literal["amplitude", "phase", "none"]


class HalfNormBlock(nn.Module):
    """x + lrelu(conv(norm(lrelu(conv(x))))), the first half of the channels instance-normalised.

    From HINet (Chen et al., CVPRW 2021), in the order of D2LNet's code: the norm comes after the
    first LeakyReLU. The smallest map that reaches it is 2×2, so a variance is always there.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.InstanceNorm2d(channels // 2, affine=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) from ``x`` of that shape."""
        normed, plain = F.leaky_relu(self.conv1(x), 0.2).chunk(2, dim=1)  # 2 × (N, C/2, H, W)
        hidden = self.conv2(torch.cat([self.norm(normed), plain], dim=1))
        return torch.add(x, F.leaky_relu(hidden, 0.2))


class SpatialAttention(nn.Module):
    """A map in (0, 1) from the mean and the maximum over channels; the code's form of SA."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1, H, W) from ``x`` (N, C, H, W)."""
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.conv(pooled))


class ParameterFreeAttention(nn.Module):
    """A map of mean 1: softmax over all pixels of the sum over channels, times H·W.

    Our reading of the attention that the paper cites (Wang et al., 2018); the formula could not
    be checked.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1, H, W) from ``x`` (N, C, H, W)."""
        height, width = x.shape[-2:]
        weights = F.softmax(x.sum(dim=1, keepdim=True).flatten(2), dim=2) * (height * width)
        return weights.unflatten(2, (height, width))


class CorrectionBlock(nn.Module):
    """Spatial branch, Fourier branch and their attention: eqs. 6-10 in the code's form.

    With r = conv1×1(x), out = SA(spatial - fourier) ⊙ spatial + fourier + r. The amplitude or the
    phase of r's spectrum goes through two 1×1 convolutions; the other is kept. Without
    correction, out = spatial + r.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        correction: What is corrected.
        attention: ``'conv'`` or ``'parameter_free'``.
        phase_ramp: Width of the ramp at the cut; see :func:`~jpeg_preproc.restorers.fourier.phase`.
        orthonormal: Whether amplitudes are those of the orthonormal transform.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        correction: Correction = "none",
        attention: str = "conv",
        phase_ramp: float = 0.0,
        orthonormal: bool = True,
    ) -> None:
        super().__init__()
        self.correction = correction
        self.phase_ramp = phase_ramp
        self.orthonormal = orthonormal
        self.project = nn.Conv2d(inputs, outputs, 1)
        self.spatial = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        if correction != "none":
            self.correct = nn.Sequential(
                nn.Conv2d(outputs, outputs, 1), nn.LeakyReLU(0.2), nn.Conv2d(outputs, outputs, 1)
            )
            self.attend = SpatialAttention() if attention == "conv" else ParameterFreeAttention()

    def fourier(self, x: Tensor) -> Tensor:
        """Correct the amplitude or the phase of ``x`` (N, C, H, W); in fp32 under autocast.

        A corrected phase is no longer odd, so its signal is complex: the real part is kept, as
        in the code.
        """
        with full_precision(x):
            bins = spectrum(x)  # (N, C, H, W) complex
            if self.correction == "amplitude":
                scale = 1.0 if self.orthonormal else (x.shape[-2] * x.shape[-1]) ** 0.5
                result = recombine(self.correct(bins.abs() * scale) / scale, bins)
            else:
                turned = torch.polar(bins.abs(), self.correct(phase(bins, self.phase_ramp)))
                result = torch.fft.ifft2(turned, norm="ortho").real
        return result.to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) from ``x`` (N, inputs, H, W)."""
        projected: Tensor = self.project(x)
        spatial: Tensor = self.spatial(x)
        if self.correction == "none":
            return spatial + projected
        fourier = self.fourier(projected)
        return self.attend(spatial - fourier) * spatial + fourier + projected


class Scales(NamedTuple):
    """Features of a stage at 1/1, 1/2 and 1/4 of the resolution."""

    encoded: list[Tensor]
    decoded: list[Tensor]


class Stage(nn.Module):
    """U-Net of four levels: correction blocks going down, plain blocks going up.

    Args:
        widths: Channels of the levels.
        block: Makes an encoder's block from its input and output channels.
        fused: Whether an earlier stage's features are added to the encoder's, as in MPRNet
            (Zamir et al., CVPR 2021).
    """

    def __init__(
        self, widths: Sequence[int], block: Callable[[int, int], CorrectionBlock], fused: bool
    ) -> None:
        super().__init__()
        upper = widths[:-1]

        def convs(size: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(c, c, size, padding=size // 2) for c in upper)

        self.encode = nn.ModuleList(
            block(inputs, outputs)
            for inputs, outputs in zip([widths[0], *upper], widths, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Conv2d(c, c, 4, stride=2, padding=1, bias=False) for c in upper
        )
        self.fuse_encoded = convs(3) if fused else None
        self.fuse_decoded = convs(3) if fused else None
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
            for inputs, outputs in zip(widths[1:], upper, strict=True)
        )
        self.skip = nn.ModuleList(HalfNormBlock(c) for c in upper)
        self.decode = nn.ModuleList(CorrectionBlock(2 * c, c) for c in upper)

    def forward(self, x: Tensor, earlier: Scales | None = None) -> Scales:
        """Return the features of all levels but the lowest, from ``x`` (N, C1, H, W)."""
        encoded: list[Tensor] = []
        for level, down in enumerate(self.down):
            x = self.encode[level](x)  # (N, C, H/2^level, W/2^level)
            if (
                earlier is not None
                and self.fuse_encoded is not None
                and self.fuse_decoded is not None
            ):
                x = x + self.fuse_encoded[level](earlier.encoded[level])
                x = x + self.fuse_decoded[level](earlier.decoded[level])
            encoded.append(x)
            x = down(x)
        x = self.encode[-1](x)  # (N, C4, H/8, W/8)
        decoded: list[Tensor] = []
        for level in reversed(range(len(encoded))):
            skip = self.skip[level](encoded[level])
            x = self.decode[level](torch.cat([self.up[level](x), skip], dim=1))
            decoded.insert(0, x)
        return Scales(encoded, decoded)


class SupervisedAttention(nn.Module):
    """SAM of MPRNet: an image from the features, and the features gated by that image."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(width, width, 3, padding=1)
        self.to_image = nn.Conv2d(width, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, width, 3, padding=1)

    def forward(self, x: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (N, width, H, W) and the restored image, from ``x`` and the input."""
        restored = self.to_image(x) + image
        return self.features(x) * torch.sigmoid(self.gate(restored)) + x, restored


class ChannelModulation(nn.Module):
    """Features to an image, over a residual block with channel attention ("refine" in the code)."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(width, width, 3, padding=1)
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.weigh = nn.Sequential(
            nn.Conv2d(width, width // 4, 1),
            nn.ReLU(),
            nn.Conv2d(width // 4, width, 1),
            nn.Sigmoid(),
        )
        self.tail = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H, W) from ``x`` (N, width, H, W)."""
        head = self.head(x)
        hidden = self.body(head)
        weights = self.weigh(hidden.mean(dim=(2, 3), keepdim=True))  # (N, width, 1, 1)
        image: Tensor = self.tail(weights * hidden + head)
        return image


class D2LNet(Restorer):
    """The two-stage dual-domain network.

    Args:
        channels: Channels of the images: 3 is RGB, 1 is luma.
        widths: Channels at 1/1, 1/2, 1/4 and 1/8 of the resolution, even.
        order: ``'paper'`` corrects amplitude, then phase; ``'code'`` phase, then amplitude.
        amplitude: Whether blocks correct amplitude; else residual blocks stand there (Table 3).
        phase: Whether blocks correct phase; else residual blocks stand there.
        attention: ``'conv'`` as in the code; ``'parameter_free'`` as the paper may mean it.
        phase_ramp: Width in radians of the ramp at the cut of the phase; see
            :func:`~jpeg_preproc.restorers.fourier.phase`. Ours: with 0, as in paper and code,
            rounding turns single bins by 2π, and an image comes out different by up to 2e-3 in
            another batch (random weights; with 0.1 by 1e-5).
        orthonormal: Whether amplitudes are corrected as the orthonormal transform gives them, of
            one scale at every size; else, as in the code, they grow with the root of the area,
            and the authors' weights expect that.

    Raises:
        ValueError: A setting that is none of these.
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(3, 1),
        size_multiple=8,
        quality="ignored",
        paper="Yang et al., ICONIP 2023",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "paper": {"channels": 3},
        "paper-grey": {"channels": 1},
        "tiny": {"channels": 3, "widths": (16, 32, 64, 96)},
        "tiny-grey": {"channels": 1, "widths": (16, 32, 64, 96)},
    }

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        order: Literal["paper", "code"] = "paper",
        amplitude: bool = True,
        phase: bool = True,
        attention: Literal["conv", "parameter_free"] = "conv",
        phase_ramp: float = 0.1,
        orthonormal: bool = True,
    ) -> None:
        super().__init__()
        if channels not in self.spec.channels:
            raise ValueError(f"channels is {channels}; D2LNet takes 3 (RGB) or 1 (luma)")
        if len(widths) != 4 or any(width < 4 or width % 2 for width in widths):
            raise ValueError(f"widths are {tuple(widths)}; give four even numbers of at least 4")
        if order not in ("paper", "code"):
            raise ValueError(f"order is {order!r}; give 'paper' or 'code'")
        if attention not in ("conv", "parameter_free"):
            raise ValueError(f"attention is {attention!r}; give 'conv' or 'parameter_free'")
        if not 0 <= phase_ramp < torch.pi:
            raise ValueError(f"phase_ramp is {phase_ramp}; give radians, 0 <= ramp < pi")
        block = partial(
            CorrectionBlock,
            attention=attention,
            phase_ramp=phase_ramp,
            orthonormal=orthonormal,
        )
        blocks = [
            partial(block, correction="amplitude" if amplitude else "none"),
            partial(block, correction="phase" if phase else "none"),
        ]
        first, second = blocks if order == "paper" else reversed(blocks)
        width = widths[0]

        def stem(blocks: int) -> nn.Sequential:
            norms = (HalfNormBlock(width) for _ in range(blocks))
            return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), *norms)

        self.channels = channels
        self.order = order
        self.stem1 = stem(2)
        self.stage1 = Stage(widths, first, fused=False)
        self.attend = SupervisedAttention(width, channels)
        self.stem2 = stem(2)
        self.merge = nn.Conv2d(2 * width, width, 1)
        self.stage2 = Stage(widths, second, fused=True)
        self.modulate1 = ChannelModulation(width, channels)
        self.stem3 = stem(1)
        self.modulate2 = ChannelModulation(width, channels)

    def stages(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each stage makes of ``image``; the losses look at both.

        The code ends in two channel modulations, the paper's figure in one; this has two. In the
        ablations the spectra are still exchanged between the stages, since Table 3 speaks of the
        blocks alone.

        Args:
            image: Batch (N, channels, H, W) in [0, 1], sides multiples of 8.

        Returns:
            X_out1 and X_out2, shaped like ``image``, not clipped.
        """
        earlier = self.stage1(self.stem1(image))
        features, first = self.attend(earlier.decoded[0], image)
        if self.order == "paper":
            exchanged = swap_amplitude(image, amplitude_of=first)
        else:
            exchanged = swap_amplitude(first, amplitude_of=image)
        merged = self.merge(torch.cat([self.stem2(exchanged), features], dim=1))
        refined = self.modulate1(self.stage2(merged, earlier).decoded[0]) + image
        return first, self.modulate2(self.stem3(refined)) + refined

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore (N, channels, H, W) in [0, 1]; ``quality`` is not looked at."""
        return RestorerOutput(self.stages(image)[1])
