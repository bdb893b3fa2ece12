"""Configs in OpenMMLab's form: read with one error for all that can be wrong, and hashed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpeg_preproc.defaults import CONFIG_ABSENT
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.io import sha256_bytes

if TYPE_CHECKING:
    from mmengine.config import Config


def read_config(
    path: str | os.PathLike[str], cfg_options: Mapping[str, Any] | None = None
) -> Config:
    """Read a config file.

    Args:
        path: Path of a Python, JSON or YAML config.
        cfg_options: Dotted keys and their new values, as ``--cfg-options`` gives them.

    Raises:
        JpegPreprocError: The file is missing or no config, or imports what is not there; or
            mmengine is not installed.
    """
    try:
        from mmengine.config import Config
    except ImportError as error:
        raise JpegPreprocError(
            f"reading {path} needs mmengine ({error}); pip install mmengine, or onedl-mmengine"
        ) from error
    if not Path(path).is_file():
        raise JpegPreprocError(f"{path} {CONFIG_ABSENT}")
    try:
        config = Config.fromfile(str(path))
        if cfg_options:
            config.merge_from_dict(dict(cfg_options))
    except (OSError, SyntaxError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise JpegPreprocError(f"{path} cannot be read as an OpenMMLab config: {error}") from error
    except ImportError as error:
        raise JpegPreprocError(
            f"{path} imports what is not installed: {error}; install it, or mend custom_imports"
        ) from error
    return config


def config_digest(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a part of a config.

    >>> config_digest({"a": 1, "b": (2,)}) == config_digest({"b": [2], "a": 1})
    True
    """
    return sha256_bytes(json.dumps(_plain(settings), sort_keys=True).encode())


def _plain(value: Any) -> Any:
    """Return a config's value as JSON's types; classes and other objects by their names."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)
