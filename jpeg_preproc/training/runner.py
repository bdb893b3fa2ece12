"""mmengine's runner, reading checkpoints without running what they hold."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from jpeg_preproc.checkpoint import guarded_mmengine
from jpeg_preproc.errors import JpegPreprocError, TrainingError

# What mmengine raises on a checkpoint that lacks what a training goes on from, or is another's.
_RESUME_ERRORS = (LookupError, TypeError, ValueError, AttributeError, AssertionError)


class GuardedRunner(Runner):
    """A ``Runner`` that resumes, loads and initialises by :func:`~..checkpoint.read_checkpoint`.

    Attributes:
        trust_checkpoint: Whether checkpoints that hold more than tensors are loaded nevertheless.
    """

    trust_checkpoint = False

    @classmethod
    def from_cfg(cls, cfg: Config, trust_checkpoint: bool = False) -> GuardedRunner:
        """Return the runner of a config; see ``Runner.from_cfg``.

        Args:
            cfg: The config.
            trust_checkpoint: Load checkpoints that hold more than tensors, which runs their code.

        Raises:
            UntrustedCheckpointError: The model's constructor loads such a checkpoint untrusted.
        """
        with guarded_mmengine(trust_checkpoint):
            runner: GuardedRunner = super().from_cfg(cfg)
        runner.trust_checkpoint = trust_checkpoint
        return runner

    def train(self) -> nn.Module:
        """Train; see ``Runner.train``.

        Raises:
            UntrustedCheckpointError: A checkpoint holds more than tensors, and is not trusted.
            WeightsError: A checkpoint is missing or damaged.
            TrainingError: A checkpoint is of no training, or of another one.
        """
        with guarded_mmengine(self.trust_checkpoint):
            return super().train()

    def load_checkpoint(self, filename: str, *args: Any, **settings: Any) -> Any:
        """Load weights and return the whole checkpoint; see ``Runner.load_checkpoint``."""
        with guarded_mmengine(self.trust_checkpoint):
            return super().load_checkpoint(filename, *args, **settings)

    def resume(self, filename: str, *args: Any, **settings: Any) -> None:
        """Take a training up from a checkpoint; see ``Runner.resume``."""
        try:
            super().resume(filename, *args, **settings)
        except _RESUME_ERRORS as error:
            if isinstance(error, JpegPreprocError):
                raise
            raise TrainingError(
                f"{filename}: no training can go on from it ({type(error).__name__}: {error}); "
                "give a checkpoint of this config's training, or start without --resume"
            ) from error
