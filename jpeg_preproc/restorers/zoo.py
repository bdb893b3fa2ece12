"""The networks and weights that there are, as files for readers and for machines.

All of it is read off the registry and the weights' manifests: the page of the documentation, and
OpenMMLab's ``model-index.yml`` and ``metafile.yml``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jpeg_preproc.restorers.catalogue import (
    PresetCost,
    RestorerEntry,
    WeightsEntry,
    list_restorers,
    list_weights,
)

#: What each of the files begins with.
WRITTEN_BY = "Written by tools/write_zoo.py from the weights' manifests; run it after a change."
_TASK = "JPEG artifact removal"
_RESTORES = {1: "luma", 3: "colour"}
_CONFIGS = Path("configs") / "restorers"


def zoo_files(repository: Path) -> dict[Path, str]:
    """Return the text of each file by its path in the repository.

    Args:
        repository: Root of a checkout, whose configs are looked up.

    Raises:
        FileNotFoundError: A manifest names a config that is not there.
    """
    networks, weights = list_restorers(), list_weights()
    metafiles: dict[Path, str] = {}
    for folder in sorted((repository / _CONFIGS).iterdir()):
        of_folder = [name for name in networks if _folder(name) == folder.name]
        if of_folder:
            path = _CONFIGS / folder.name / "metafile.yml"
            metafiles[path] = _metafile(of_folder, networks, weights, folder, repository)
    index = _yaml({"Import": [path.as_posix() for path in metafiles]})
    page = _page(networks, weights)
    return {Path("docs") / "zoo.md": page, Path("model-index.yml"): index, **metafiles}


def _folder(name: str) -> str:
    """Return the folder of a network's configs."""
    return {"QCN": "qgcn"}.get(name, name.lower())


def _metafile(
    names: Iterable[str],
    networks: Mapping[str, RestorerEntry],
    weights: Mapping[str, WeightsEntry],
    folder: Path,
    repository: Path,
) -> str:
    collections, models = [], []
    for name in names:
        collection: dict[str, Any] = {
            "Name": name,
            "Metadata": {"Architecture": [name]},
            "Paper": {"Title": networks[name].spec.paper},
        }
        if (folder / "README.md").is_file():
            collection["README"] = (folder / "README.md").relative_to(repository).as_posix()
        collection["Code"] = {"Path": _code(name)}
        collections.append(collection)
        of_network = [one for one in weights.values() if one.manifest.restorer == name]
        models += [_model(one, repository) for one in of_network]
    return _yaml({"Collections": collections, **({"Models": models} if models else {})})


def _code(name: str) -> str:
    from jpeg_preproc.restorers.registry import restorer_class

    return restorer_class(name).__module__.replace(".", "/") + ".py"


def _model(entry: WeightsEntry, repository: Path) -> dict[str, Any]:
    manifest = entry.manifest
    config = manifest.training["config"]
    found = list((repository / _CONFIGS).glob(f"*/{config}"))
    if len(found) != 1:
        raise FileNotFoundError(
            f"the manifest of {manifest.name} names the config {config}, of which there are "
            f"{len(found)} in {_CONFIGS}"
        )
    metrics = {f"PSNR at QF {qf} (dB)": value for qf, value in manifest.measured["psnr_db"].items()}
    return {
        "Name": manifest.name,
        "In Collection": manifest.restorer,
        "Config": found[0].relative_to(repository).as_posix(),
        "Weights": f"jpeg_preproc/restorers/weights/{manifest.name}.safetensors",
        "License": manifest.licence,
        "Metadata": {
            "Parameters": manifest.parameters,
            "MACs per pixel": round(entry.cost.macs_per_pixel),
            "Training Data": list(manifest.training["data"]),
            "Iterations": manifest.training["iterations"],
        },
        "Results": [{"Task": _TASK, "Dataset": manifest.measured["dataset"], "Metrics": metrics}],
    }


def _yaml(content: Mapping[str, Any]) -> str:
    import yaml

    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100)
    return f"# {WRITTEN_BY}\n{text}"


def _page(networks: Mapping[str, RestorerEntry], weights: Mapping[str, WeightsEntry]) -> str:
    """Return the documentation's page."""
    lines = [
        f"<!-- {WRITTEN_BY} -->",
        "# Model zoo",
        "",
        "What comes with the package. `jpeg-preproc models` prints the same; a name goes wherever",
        "a restorer is asked for. kMAC are thousands of multiply-accumulates.",
        "",
        "## Weights",
        "",
        *_table(
            ("weights", "network", "restores", "M parameters", "kMAC per pixel", "MB", "licence"),
            (
                (
                    f"[`{name}`](#{name})",
                    f"{one.manifest.restorer} `{one.manifest.preset}`",
                    *_size(one.cost),
                    f"{one.bytes / 1e6:.1f}",
                    one.manifest.licence,
                )
                for name, one in weights.items()
            ),
        ),
        "",
        "## Networks",
        "",
        *_table(
            ("network", "from", "preset", "restores", "M parameters", "kMAC per pixel", "quality"),
            (
                (name, entry.spec.paper, f"`{preset}`", *_size(cost), entry.spec.quality)
                for name, entry in networks.items()
                for preset, cost in entry.presets.items()
            ),
        ),
    ]
    for name, one in weights.items():
        lines += ["", f"## {name}", "", *_section(one)]
    return "\n".join(lines) + "\n"


def _size(cost: PresetCost) -> tuple[str, str, str]:
    return (
        _RESTORES[cost.channels],
        f"{cost.parameters / 1e6:.2f}",
        f"{cost.macs_per_pixel / 1000:.1f}",
    )


def _section(entry: WeightsEntry) -> list[str]:
    """Return what the page says of one file of weights."""
    manifest = entry.manifest
    measured = manifest.measured
    before, after = measured.get("psnr_db_jpeg", {}), measured["psnr_db"]
    rows = [
        (qf, f"{before[qf]:.2f}" if qf in before else "", f"{value:.2f}", _gain(before, qf, value))
        for qf, value in after.items()
    ]
    lines = [
        f"`{manifest.name}.safetensors`, SHA-256 `{manifest.sha256}`.",
        "",
        f"PSNR in dB on {measured['dataset']}, protocol `{measured['protocol']}`:",
        "",
        *_table(("QF", "JPEG", "restored", "gain"), rows),
        "",
        "Trained by",
        "",
    ]
    training: Mapping[str, Any] | None = manifest.training
    while training:
        data = "; ".join(training.get("data", ()))
        iterations = training.get("iterations")
        steps = f", {iterations:,} steps" if iterations else ""
        if "config" in training:
            lines.append(f"- `{training['config']}`{steps}" + (f", on {data}" if data else ""))
        else:
            lines.append(f"- no config, on {data}")
        training = training.get("continues")
    return lines


def _gain(before: Mapping[str, float], qf: str, value: float) -> str:
    return f"{value - before[qf]:+.2f}" if qf in before else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    titles = tuple(head)
    return [
        f"| {' | '.join(titles)} |",
        f"| {' | '.join('---' for _ in titles)} |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
