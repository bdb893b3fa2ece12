"""mmengine's runner, reading checkpoints without running what they hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import nn

from jpeg_preproc.checkpoint import guarded_mmengine
from jpeg_preproc.errors import (
    JpegPreprocError,
    TrainingError,
    UntrustedCheckpointError,
    WeightsError,
)

# What mmengine raises on a checkpoint that lacks what a training goes on from, or is another's.
_RESUME_ERRORS = (LookupError, TypeError, ValueError, AttributeError, AssertionError)


# Checkpoints in a work directory, as mmengine's CheckpointHook calls them.
_CHECKPOINT = re.compile(r"(iter|epoch)_[0-9]+\.pth")
# What a checkpoint is called until it is whole.
_UNFINISHED = ".unfinished.pth"


class GuardedRunner(Runner):
    """A ``Runner`` that resumes, loads and initialises by :func:`~..checkpoint.read_checkpoint`.

    Its checkpoints are written whole or not at all.

    Attributes:
        trust_checkpoint: Whether checkpoints that hold more than tensors are loaded nevertheless.
    """

    trust_checkpoint = False
    _has_loaded: bool

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

    def load_or_resume(self) -> None:
        """Load or resume; see ``Runner.load_or_resume``.

        A training goes on from the youngest checkpoint in its work directory that is whole; the
        file ``last_checkpoint``, which a kill may leave empty, is not asked. Where there is none it
        starts, from ``load_from`` if the config names such weights; mmengine would try to go on
        from these, whatever the work directory has.

        Raises:
            WeightsError: There are checkpoints, and all are damaged.
        """
        if self._has_loaded or not self._resume:
            super().load_or_resume()
            return
        Path(self.work_dir, _UNFINISHED).unlink(missing_ok=True)
        found = [path for path in Path(self.work_dir).iterdir() if _CHECKPOINT.fullmatch(path.name)]
        found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in found:
            try:
                self.resume(str(path))
            except UntrustedCheckpointError:
                raise
            except WeightsError as error:
                self.logger.warning(f"{error}. The one before is tried.")
            else:
                self._has_loaded = True
                return
        if found:
            raise WeightsError(
                f"{self.work_dir}: none of its {len(found)} checkpoints can be read; remove them, "
                "or start without --resume"
            )
        if self._load_from is not None:
            self.load_checkpoint(self._load_from)
            self._has_loaded = True

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **settings: Any) -> None:
        """Write a checkpoint, whole or not at all; see ``Runner.save_checkpoint``.

        Raises:
            TrainingError: It cannot be written, as on a full disk; those before are as they were.
        """
        if not Path(out_dir).is_dir():  # on a store that mmengine's file backends know
            super().save_checkpoint(out_dir, filename, *args, **settings)
            return
        target, unfinished = Path(out_dir, filename), Path(out_dir, _UNFINISHED)
        try:
            super().save_checkpoint(out_dir, _UNFINISHED, *args, **settings)
            if is_main_process():
                unfinished.replace(target)
        except (OSError, RuntimeError) as error:  # torch's writer raises the latter
            unfinished.unlink(missing_ok=True)
            raise TrainingError(
                f"{target} cannot be written ({error}); see to it, and go on with --resume: the "
                "checkpoint before is kept"
            ) from error

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
