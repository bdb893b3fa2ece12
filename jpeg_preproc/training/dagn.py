"""DAGN's two stages (Ma et al., Algorithm 1): auto-encoders first, then the restoring network.

Stage 1 trains the two encoders, each with a decoder that puts the image together again from its
features. From the features of one, a discriminator shall not be able to tell whether the image was
coded; from those of the other, a predictor shall tell the quality factor. Stage 2 freezes them and
trains everything else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import HOOKS, MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.errors import WeightsError
from jpeg_preproc.io import write_bytes_atomic
from jpeg_preproc.restorers.dagn import DAGN
from jpeg_preproc.restorers.dagn_encoders import Discriminator, FeatureDecoder, QualityPredictor
from jpeg_preproc.restorers.registry import build_restorer
from jpeg_preproc.restorers.weights import fill
from jpeg_preproc.training.model import RestorationModel

#: The literal loss is unbounded; a probability this near 0 or 1 goes no further.
CLAMP = 1e-4


def adversarial_losses(
    of_jpeg: Tensor, of_clean: Tensor, form: Literal["stabilised", "literal"]
) -> tuple[Tensor, Tensor]:
    """Return what the discriminator J and what the encoder minimise, eq. 6.

    The paper's ½ (−log J(E(c)) + log J(E(o))) is minimised by the encoder and maximised by J, and
    bounded for neither. Stabilised (ours): J minimises −log J(E(o)) − log(1 − J(E(c))), the
    encoder −log J(E(c)).

    Args:
        of_jpeg: Logits of J for the features of JPEG images, c, (N,).
        of_clean: Logits of J for the features of the clean images, o, (N,).
        form: ``'literal'`` for the paper's form, ``'stabilised'`` for ours.
    """
    if form == "literal":
        low, high = CLAMP, 1 - CLAMP
        jpeg, clean = (logits.sigmoid().clamp(low, high) for logits in (of_jpeg, of_clean))
        loss = 0.5 * (clean.log() - jpeg.log()).mean()
        return -loss, loss
    discriminator = F.softplus(-of_clean).mean() + F.softplus(of_jpeg).mean()
    return discriminator, F.softplus(-of_jpeg).mean()


def quality_loss(logits: Tensor, qf: Tensor, form: Literal["l1", "cross_entropy"]) -> Tensor:
    """Return the loss of the predicted quality factors, eq. 9.

    The paper takes L1 between the prediction and a one-hot vector, which behind a softmax is
    2 (1 − p) and has little gradient where p is near zero; hence the other form.

    Args:
        logits: Logits (N, 100); that at k is of quality factor k + 1.
        qf: Quality factors of the images, (N,), 1-100; clean ones count as 100.
        form: ``'l1'`` for the paper's form, ``'cross_entropy'`` for ours.
    """
    classes = qf.round().long().clamp(1, 100) - 1
    if form == "cross_entropy":
        return F.cross_entropy(logits, classes)
    wanted = F.one_hot(classes, 100).to(logits.dtype)
    return (logits.softmax(dim=1) - wanted).abs().sum(dim=1).mean()


@MODELS.register_module()
class DAGNAutoEncoders(BaseModel):
    """Stage 1: both auto-encoders, the discriminator and the quality predictor.

    Args:
        preset: Preset of :class:`~jpeg_preproc.restorers.dagn.DAGN`, whose encoders are trained.
        decoder_width: Channels of the decoders' first layers.
        adversarial: Form of eq. 6; see :func:`adversarial_losses`.
        quality: Form of eq. 9; see :func:`quality_loss`.
        weight_insensitive: Weight λ_ci of the adversarial loss.
        weight_sensitive: Weight λ_cs of the quality loss.
    """

    def __init__(
        self,
        preset: str = "paper",
        decoder_width: int = 512,
        adversarial: Literal["stabilised", "literal"] = "stabilised",
        quality: Literal["l1", "cross_entropy"] = "l1",
        weight_insensitive: float = 1.0,
        weight_sensitive: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        network = build_restorer("DAGN", preset)
        if not isinstance(network, DAGN):
            raise TypeError("the registry's DAGN is another network")
        self.encoders = network.encoders
        features = int(self.encoders["insensitive"].out_channels)  # type: ignore[arg-type]
        self.decoders = nn.ModuleDict(
            {name: FeatureDecoder(features, decoder_width) for name in self.encoders}
        )
        self.discriminator = Discriminator(features)
        self.predictor = QualityPredictor(features)
        self.adversarial, self.quality = adversarial, quality
        self.weight_insensitive, self.weight_sensitive = weight_insensitive, weight_sensitive

    def forward(
        self,
        jpeg: Tensor,
        clean: Tensor,
        qf: Tensor,
        mode: str = "tensor",
        **unused: Any,
    ) -> Any:
        """Return the auto-encoders' losses (``'loss'``), or the discriminator's.

        Args:
            jpeg: JPEG images, (N, 3, H, W) uint8.
            clean: Clean images, (N, 3, H, W) uint8.
            qf: Quality factors of the JPEG images, (N,).
            mode: ``'loss'``, or ``'discriminator'``.
            unused: What else an item has; it is not looked at.
        """
        count = len(jpeg)
        both = torch.cat([jpeg, clean]).float() / 255  # (2N, 3, H, W): c, then o
        if mode == "discriminator":
            with torch.no_grad():
                features = self.encoders["insensitive"](both)
            logits = self.discriminator(features)
            loss, _ = adversarial_losses(logits[:count], logits[count:], self.adversarial)
            return {"loss_discriminator": loss}
        features = {name: encoder(both) for name, encoder in self.encoders.items()}
        losses = {
            f"loss_{name}": F.l1_loss(self.decoders[name](value), both)
            for name, value in features.items()
        }
        logits = self.discriminator(features["insensitive"])
        _, deceived = adversarial_losses(logits[:count], logits[count:], self.adversarial)
        losses["loss_adversarial"] = self.weight_insensitive * deceived
        factors = torch.cat([qf, torch.full_like(qf, 100)])
        predicted = self.predictor(features["sensitive"])
        losses["loss_quality"] = self.weight_sensitive * quality_loss(
            predicted, factors, self.quality
        )
        return losses

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Take one step of the discriminator, then one of all else."""
        data = self.data_preprocessor(data, True)
        logged: dict[str, Tensor] = {}
        self.discriminator.requires_grad_(True)
        for name, mode in (("discriminator", "discriminator"), ("autoencoders", "loss")):
            wrapper = optim_wrapper[name]
            with wrapper.optim_context(self):
                loss, variables = self.parse_losses(self(**data, mode=mode))
            wrapper.update_params(loss)
            variables.pop("loss")
            logged.update(variables)
            # In the second step gradients pass through the discriminator, which is not trained.
            self.discriminator.requires_grad_(False)
        return logged


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class AdversarialOptimizers:
    """Build one optimizer for the discriminator and one for everything else.

    Args:
        optim_wrapper_cfg: Settings of both, as ``OptimWrapper`` takes them.
        paramwise_cfg: Not supported; it must be ``None``.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: Any = None) -> None:
        if paramwise_cfg is not None:
            raise ValueError("AdversarialOptimizers takes no paramwise_cfg")
        self.settings = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Return the two wrappers as ``discriminator`` and ``autoencoders``."""
        children = dict(model.named_children())
        discriminator = children.pop("discriminator")
        rest = nn.ModuleDict(children)
        return OptimWrapperDict(
            discriminator=build_optim_wrapper(discriminator, dict(self.settings)),
            autoencoders=build_optim_wrapper(rest, dict(self.settings)),
        )


@HOOKS.register_module()
class SaveEncodersHook(Hook):
    """Write the encoders as ``<work dir>/encoders.safetensors``, which stage 2 starts from.

    Args:
        interval: Steps between two writes; the last step writes as well.
    """

    priority = "LOW"

    def __init__(self, interval: int = 500) -> None:
        self.interval = interval

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Write every ``interval`` steps and after the last one."""
        if self.every_n_train_iters(runner, self.interval) or runner.iter + 1 == runner.max_iters:
            self.write(runner)

    @master_only
    def write(self, runner: Any) -> Path:
        """Write the encoders as they are now and return their path."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        state = {key: value.contiguous() for key, value in model.encoders.state_dict().items()}
        return write_bytes_atomic(Path(runner.work_dir) / "encoders.safetensors", save(state))


@MODELS.register_module()
class DAGNModel(RestorationModel):
    """Stage 2: DAGN with the encoders of stage 1, frozen.

    Args:
        encoders: The file that :class:`SaveEncodersHook` wrote.
        kwargs: Arguments of :class:`RestorationModel`.

    Raises:
        WeightsError: There is no such file, it is damaged, or it holds encoders of another size.
    """

    restorer: DAGN

    def __init__(self, encoders: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        try:
            state = load_file(encoders)
        except (OSError, SafetensorError) as error:
            raise WeightsError(
                f"{encoders}: no encoders of stage 1 ({error}); run the config of stage 1 first, "
                "or set model.encoders to its encoders.safetensors"
            ) from error
        # An ablation without one of them builds the other alone.
        built = tuple(f"{name}." for name in self.restorer.encoders)
        wanted = {key: value for key, value in state.items() if key.startswith(built)}
        fill(self.restorer.encoders, wanted, source=encoders)
        self.restorer.freeze_encoders()
