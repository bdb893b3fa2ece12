"""The tools on sets so small that a run takes seconds, and what their results are compared by."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from soaking.zygote import Zygote

ROOT = Path(__file__).resolve().parents[2]
_TESTS = ROOT / "tests"
_RESTORER = "nano"
_DRAWING = ("matplotlib.pyplot", "matplotlib.backends.backend_agg")

#: Files of a result by their names in it, each as what two runs must have alike.
Content = dict[str, object]


@dataclass(frozen=True)
class Command:
    """A tool with its arguments.

    Attributes:
        name: What the table calls it.
        arguments: Arguments of Python: the script and its own, but for the output.
        out_option: Option in front of the output; ``''`` where it is the last argument.
        resume: What is added to go on.
        begun: File or folder, relative to the output, that is there once work begins; ``''`` for
            the output itself.
        content: Returns what a finished output holds.
        go_on: What the tool says of how to go on.
        has_workers: Whether other processes do its work.
        late: Modules that it imports only once it is at work.
        zygote: Process that has imported it and forks for each run; ``None`` for runs of their own.
    """

    name: str
    arguments: tuple[str, ...]
    content: Callable[[Path], Content]
    out_option: str = ""
    resume: tuple[str, ...] = ()
    begun: str = ""
    go_on: str = "the same command goes on from here"
    has_workers: bool = False
    late: tuple[str, ...] = ()
    zygote: Zygote | None = None

    @property
    def script(self) -> tuple[str, int]:
        """The script or module that is run, and how many of the arguments say so."""
        return (self.arguments[1], 2) if self.arguments[0] == "-m" else (self.arguments[0], 1)

    def forked(self) -> Command:
        """Return the command with a zygote, which is to be ended."""
        script = "jpeg_preproc.cli" if self.script[0] == "jpeg_preproc" else self.script[0]
        return replace(self, zygote=Zygote(script, self.late, environment()))

    def line(self, out: Path, resume: bool = False) -> list[str]:
        """Return the whole command line."""
        option = [self.out_option] if self.out_option else []
        more = self.resume if resume else ()
        return [sys.executable, *self.arguments, *option, str(out), *more]


def environment() -> dict[str, str]:
    """Return the environment of commands: this checkout, one thread, tests' helpers."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
    }


def commands(folder: Path) -> list[Command]:
    """Write what the tools work on, and return those that can be run in this environment.

    Args:
        folder: Folder to write to; empty or missing.
    """
    large = write_images(folder / "large", 60, (240, 320))
    small = write_images(folder / "small", 12, (96, 128))
    found = [
        Command(
            "compress_dataset",
            (_tool("compress_dataset"), str(large), "--workers", "1", "--qf", "10", "40"),
            files,
            out_option="--",
            begun="qf10",
            has_workers=True,
        ),
        Command(
            "restore_dataset",
            (_tool("restore_dataset"), str(small), "--workers", "1", "--restorer", _RESTORER),
            files,
            out_option="--",
            begun=_RESTORER,
            has_workers=True,
        ),
        Command(
            "jpeg-preproc restore",
            ("-m", "jpeg_preproc", "restore", "--restorer", _RESTORER, str(small / "val2017")),
            files,
            late=("jpeg_preproc.cli.restore", "jpeg_preproc.files"),
        ),
    ]
    if all(find_spec(name) for name in ("mmengine", "onnx", "onnxruntime", "pycocotools")):
        found += _measuring(folder / "measured")
    if find_spec("mmengine"):
        found.append(_training(folder / "trained"))
    return found


def write_images(root: Path, count: int, shape: tuple[int, int]) -> Path:
    """Write a COCO set of noisy JPEG files and return its root.

    Args:
        root: Folder that becomes the set.
        count: How many images.
        shape: Height and width in pixels.
    """
    rng = np.random.default_rng(count)
    (root / "val2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    records, boxes = [], []
    for index in range(1, count + 1):
        noise = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        name = f"{index:03}.jpg"
        Image.fromarray(noise).save(root / "val2017" / name, quality=30)
        records.append({"id": index, "file_name": name, "height": shape[0], "width": shape[1]})
        box = {"id": index, "image_id": index, "category_id": 1, "bbox": [0, 0, 9, 9]}
        boxes.append({**box, "area": 81, "iscrowd": 0})
    document = {"images": records, "annotations": boxes, "categories": [{"id": 1, "name": "box"}]}
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(document))
    return root


def files(out: Path) -> Content:
    """Return every file's bytes; of folders, and of ``results.*``, which tell times, nothing."""
    return {
        str(path.relative_to(out)): _bytes(path)
        for path in sorted(out.rglob("*"))
        if not path.name.startswith(".jpeg_preproc.lock")
    }


def _bytes(path: Path) -> bytes:
    if path.is_dir() or path.name.startswith("results."):
        return b""
    return path.read_bytes()


def _present(*modules: str) -> tuple[str, ...]:
    return tuple(name for name in modules if find_spec(name.partition(".")[0]))


def _tool(name: str) -> str:
    return str(ROOT / "tools" / f"{name}.py")


def _measuring(folder: Path) -> list[Command]:
    """The tools that measure models, on a toy detector under onnxruntime."""
    for helpers in ("evaluation", "openmmlab"):
        if str(_TESTS / helpers) not in sys.path:
            sys.path.insert(0, str(_TESTS / helpers))
    import onnx_helpers

    folder.mkdir(parents=True)
    coco = onnx_helpers.toysets.write_coco(folder / "coco")
    model = onnx_helpers.bright_box(folder / "toy.onnx")
    config = onnx_helpers.detector_config(folder, coco)
    study = folder / "toys.py"
    study.write_text(
        "title = 'Toys'\n"
        f"datasets = dict(boxes=dict(data_root={str(coco)!r}))\n"
        f"models = dict(toy=dict(config={config.name!r}, checkpoint={str(model)!r},\n"
        "    datasets=['boxes']))\n"
        f"corruptions = ['jpeg:2', 'webp:5']\nrestorers = [{_RESTORER!r}]\n"
    )
    options = ("--device", "cpu")
    return [
        Command(
            "eval_downstream",
            (
                _tool("eval_downstream"),
                *(str(config), str(model), "--qf", "2", "50", "--restorers", _RESTORER),
                *options,
            ),
            measured,
            out_option="--out",
            late=("jpeg_preproc.evaluation.onnx", *_present(*_DRAWING)),
        ),
        Command(
            "study",
            (_tool("study"), str(study), "--keep-images", *options),
            measured,
            out_option="--out",
            late=("jpeg_preproc.evaluation.onnx", *_present(*_DRAWING)),
        ),
    ]


def measured(out: Path) -> Content:
    """Return the rows of results and what is stored without times, of others the names."""
    content: Content = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_dir() or path.suffix in (".md", ".csv", ".png", ".pdf", ".svg", ".html"):
            content[name] = b""
        elif path.suffix == ".json":
            content[name] = _without_times(json.loads(path.read_text()))
        else:
            content[name] = path.read_bytes()
    return content


_TIMES = ("seconds", "meta", "stages", "started")


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(one) for key, one in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [_without_times(one) for one in value]
    return value


def _training(folder: Path) -> Command:
    """Twelve steps of the smallest network, with a checkpoint after every third."""
    from mmengine.config import Config

    images = folder / "images"
    images.mkdir(parents=True)
    rng = np.random.default_rng(3)
    for name in ("a", "b"):
        noise = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(noise).save(images / f"{name}.png")
    before = os.environ.get("JPEG_PREPROC_DATA")
    os.environ["JPEG_PREPROC_DATA"] = str(folder)  # which the config asks for, in vain
    try:
        cfg = Config.fromfile(ROOT / "configs/restorers/gridunet/gridunet_nano_cpu_24k.py")
    finally:
        if before is None:
            del os.environ["JPEG_PREPROC_DATA"]
        else:
            os.environ["JPEG_PREPROC_DATA"] = before
    cfg.merge_from_dict(
        {
            "train_dataloader.batch_size": 2,
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "train_dataloader.dataset.crop": 32,
            "train_cfg.max_iters": 12,
            "default_hooks.checkpoint.interval": 3,
            "log_level": "ERROR",
        }
    )
    cfg.train_dataloader.dataset.sources = [{"folder": str(images)}]
    for key in ("val_dataloader", "val_evaluator", "val_cfg"):
        cfg.pop(key)
    cfg.train_cfg.pop("val_interval")
    cfg.default_hooks.checkpoint.pop("save_best")
    cfg.custom_hooks = [dict(type="StopOnNanHook")]
    cfg.visualizer.vis_backends = [dict(type="LocalVisBackend")]
    path = folder / "toy.py"
    cfg.dump(path)
    return Command(
        "train",
        (_tool("train"), str(path)),
        trained,
        late=_present("torchvision", *_DRAWING),
        out_option="--work-dir",
        resume=("--resume",),
        go_on="the same command with --resume goes on from the last checkpoint",
    )


def trained(out: Path) -> Content:
    """Return every checkpoint's tensors, and the names of all but logs."""
    import torch

    content: Content = {}
    for path in sorted(out.iterdir()):
        if path.suffix == ".pth":
            stored = torch.load(path, weights_only=False)  # of our own run
            parts = (stored["state_dict"], stored.get("optimizer"), stored["meta"]["iter"])
            content[path.name] = _digest(parts)
        elif path.is_file() and path.suffix != ".py":
            text = path.read_text()
            content[path.name] = Path(text).name if path.name == "last_checkpoint" else text
    return content


def _digest(value: Any) -> str:
    """Return a text that is equal where all numbers in nested containers are."""
    import torch

    from jpeg_preproc.io import sha256_bytes

    if isinstance(value, torch.Tensor):
        return sha256_bytes(value.cpu().contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return sha256_bytes("".join(f"{k}:{_digest(v)};" for k, v in value.items()).encode())
    if isinstance(value, list | tuple):
        return sha256_bytes(";".join(map(_digest, value)).encode())
    return repr(value)
