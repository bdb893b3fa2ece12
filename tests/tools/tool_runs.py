"""The scripts of ``tools/`` as modules, and runs of eval_downstream."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def load_module(name: str) -> ModuleType:
    """The module of a tool: that of its command, else the script in ``tools/``."""
    if importlib.util.find_spec(f"jpeg_preproc.cli.{name}"):
        return importlib.import_module(f"jpeg_preproc.cli.{name}")
    specification = importlib.util.spec_from_file_location(f"{name}_tool", TOOLS / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def load_tool(name: str):
    """The main function of a script in ``tools/``, taking arguments of any type."""
    module = load_module(name)
    return lambda *arguments: module.main([str(argument) for argument in arguments])


def run(tool: ModuleType, tmp_path: Path, *arguments: object) -> int:
    """Run eval_downstream on the CPU into ``tmp_path/out``; return its exit code."""
    return tool.main([*map(str, arguments), "--out", str(tmp_path / "out"), "--device", "cpu"])


def results(tmp_path: Path) -> dict[str, Any]:
    """What that run wrote."""
    return json.loads((tmp_path / "out" / "results.json").read_text())


def own_rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Its rows of the models' own metrics, without those of finer judges."""
    return [row for row in results(tmp_path)["rows"] if row["metric"] in ("mAP", "mIoU")]
