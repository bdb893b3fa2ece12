"""A study as a config: models × data sets × corruptions × restorers, and what to compare.

A study is a config of mmengine's::

    title = "What is lost at the qualities of the web"
    datasets = dict(coco=dict(data_root="data/coco"))
    models = dict(
        yolox_nano=dict(
            config="../downstream/yolox_nano_coco.py",    # beside the study, as _base_ is
            checkpoint="checkpoints/yolox_nano.pth",
            datasets=["coco"],
        )
    )
    corruptions = ["jpeg:10", "jpeg:20"]
    restorers = [
        "small-task",
        dict(weights="small-task", strength=0.5),    # half of its correction
        dict(name="arcnn", weights={"jpeg:10": "q10.safetensors"}),
    ]
    compare = dict(baseline="arcnn", robustness=True, rate="jpeg")
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from jpeg_preproc.corruptions import Corruption, Original, parse_corruption
from jpeg_preproc.errors import JpegPreprocError, QualityError, StudyError
from jpeg_preproc.evaluation.conditions import (
    FROM_FILE,
    QUALITY_SOURCES,
    REFERENCES,
    Condition,
    RestorerChoice,
    choose_restorers,
)
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.restorers.quality import validate_strength
from jpeg_preproc.study.prepare import Job

#: What a study says in place of models where it is about the embedded demo's.
DEMO = "demo"
_KEYS = ("title", "datasets", "models", "corruptions", "restorers", "compare")
_MODEL_KEYS = ("config", "checkpoint", "datasets", "cfg_options")
_DATASET_KEYS = ("data_root", "cfg_options")
_RESTORER_KEYS = ("name", "weights", "consistent", "quality_source", "strength")


@dataclass(frozen=True)
class Comparisons:
    """What a study compares, beside restored with corrupted images.

    Attributes:
        baseline: Label of the restorer that the gains of the others are divided by.
        robustness: Whether P, mPC and rPC are told, over all corruptions of the study.
        rate: Kind of the corruption whose files' bits are compared with, such as ``'jpeg'``.
        rivals: Pairs of a model that was trained to bear corruption and the one that it was trained
            from; a study has them as a dict.
    """

    baseline: str | None = None
    robustness: bool = False
    rate: str | None = None
    rivals: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Study:
    """What is measured and compared.

    Attributes:
        name: Name of its file without ending.
        title: What it asks, for people.
        jobs: Each model on each of its data sets; ``None`` for those of the embedded demo.
        conditions: What each is measured under.
        compare: What is made of it.
    """

    name: str
    title: str
    jobs: tuple[Job, ...] | None
    conditions: tuple[Condition, ...]
    compare: Comparisons = Comparisons()


def read_study(path: str | os.PathLike[str], cfg_options: Mapping[str, Any] | None = None) -> Study:
    """Read a study and look up its corruptions and restorers.

    Whether the files of models and data are there is for :func:`check_files` to tell.

    Args:
        path: Path of the config.
        cfg_options: Dotted keys and their new values, such as ``datasets.coco.data_root``.

    Raises:
        StudyError: The file fails, or what it says contradicts itself.
        JpegPreprocError: It is missing or no config, or names a corruption or restorer that is not
            there.
    """
    source = Path(path)
    config = _read(source, cfg_options)
    try:
        corruptions = [parse_corruption(given) for given in _listed(config, "corruptions")]
        conditions = _conditions(corruptions, _listed(config, "restorers"))
        jobs = None if config.get("models") == DEMO else _jobs(config, source.parent)
        return Study(
            name=source.stem,
            title=str(config.get("title") or source.stem),
            jobs=jobs,
            conditions=conditions,
            compare=_comparisons(config.get("compare") or {}, conditions, jobs or ()),
        )
    except JpegPreprocError as error:
        raise type(error)(f"{source}: {error}") from error


def check_files(study: Study) -> None:
    """Check that configs, checkpoints and data are there, before anything is loaded.

    Raises:
        StudyError: The first that is not.
    """
    for job in study.jobs or ():
        of_data = f"datasets.{job.dataset}.data_root"
        for key, file, is_there in (
            (f"models.{job.model}.config", job.config, job.config.is_file()),
            (f"models.{job.model}.checkpoint", job.checkpoint, job.checkpoint.is_file()),
            (of_data, job.data_root, job.data_root is None or job.data_root.is_dir()),
        ):
            if not is_there:
                raise StudyError(
                    f"{file} is not there; put it there, or name another one with "
                    f"--cfg-options {key}=PATH"
                )


def _read(path: Path, cfg_options: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the study's config, whose names of settings are known."""
    try:
        config = read_config(path, cfg_options)
    except JpegPreprocError:
        raise
    except Exception as error:  # a study is a program, and so may fail with anything
        raise StudyError(f"{path} fails with {type(error).__name__}: {error}; mend it") from error
    # Other names may be the study's own; one that is nearly a setting's is a slip.
    for name in config:
        near = difflib.get_close_matches(name, _KEYS, n=1, cutoff=0.75)
        if near and name not in _KEYS:
            raise StudyError(f"{path} has {name!r}; did you mean {near[0]!r}?")
    for name in ("models", "corruptions"):
        if name not in config:
            raise StudyError(f"{path} lacks {name!r}; a study has {', '.join(_KEYS)}")
    return dict(config)


def _listed(config: Mapping[str, Any], name: str) -> Sequence[Any]:
    """Return a setting that is a list."""
    value = config.get(name, [])
    if not isinstance(value, (list, tuple)):
        raise StudyError(f"{name} is {value!r}; give a list")
    return value


def _settings(value: Any, where: str, known: Collection[str]) -> dict[str, Any]:
    """Return a setting that is a dict of some of the ``known`` keys."""
    if not isinstance(value, Mapping):
        raise StudyError(f"{where} is {value!r}; give a dict of {', '.join(known)}")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise StudyError(f"{where} has {unknown[0]!r}; it may have {', '.join(known)}")
    return dict(value)


def _jobs(config: Mapping[str, Any], folder: Path) -> tuple[Job, ...]:
    """Return each model on each of its data sets."""
    models, datasets = (config.get(name) or {} for name in ("models", "datasets"))
    if not isinstance(models, Mapping) or not models:
        raise StudyError(f"models is {models!r}; give a dict of models by name, or {DEMO!r}")
    jobs = []
    for name, value in models.items():
        model = _settings(value, f"models.{name}", _MODEL_KEYS)
        for required in ("config", "checkpoint", "datasets"):
            if not model.get(required):
                raise StudyError(f"models.{name} lacks {required!r}")
        for dataset in _unique(_listed(model, "datasets"), f"models.{name}.datasets"):
            if dataset not in datasets:
                raise StudyError(
                    f"models.{name} is to be measured on data set {dataset!r}, which is unknown; "
                    f"there are: {', '.join(datasets) or 'none'}"
                )
            data = _settings(datasets[dataset], f"datasets.{dataset}", _DATASET_KEYS)
            root = data.get("data_root")
            jobs.append(
                Job(
                    config=folder / model["config"],
                    checkpoint=Path(model["checkpoint"]),
                    cfg_options={
                        **(model.get("cfg_options") or {}),
                        **(data.get("cfg_options") or {}),
                    },
                    data_root=None if root is None else Path(root),
                    model=name,
                    dataset=dataset,
                )
            )
    return tuple(jobs)


def _conditions(
    corruptions: Sequence[Corruption], restorers: Iterable[Any]
) -> tuple[Condition, ...]:
    """Return the conditions: the originals, then each corruption's."""
    _unique([corruption.spelling for corruption in corruptions], "corruptions")
    choices = [_choices(value, corruptions) for value in restorers]
    _unique([next(iter(one.values())).label for one in choices], "restorers")
    conditions = [Condition()]
    for corruption in corruptions:
        if not isinstance(corruption, Original):
            restored = [one[corruption] for one in choices if corruption in one]
            conditions += [Condition(corruption, choice) for choice in (None, *restored)]
    return tuple(conditions)


def _choices(value: Any, corruptions: Sequence[Corruption]) -> dict[Corruption, RestorerChoice]:
    """Return what a restorer of the study is for each corruption that it has weights for."""
    given = _settings(
        {"weights": value} if isinstance(value, str) else value, "a restorer", _RESTORER_KEYS
    )
    weights = given.get("weights")
    if isinstance(weights, Mapping):
        files = {parse_corruption(key): str(file) for key, file in weights.items()}
        unknown = [one.spelling for one in files if one not in corruptions]
        if unknown or not files:
            raise StudyError(
                f"restorer {given.get('name')!r} has weights for "
                f"{', '.join(unknown) or 'nothing'}; give them for corruptions of the study"
            )
        if "name" not in given:
            raise StudyError("a restorer with weights for each corruption lacks 'name'")
    elif weights:
        files = {corruption: str(weights) for corruption in corruptions}
    else:
        raise StudyError(f"restorer {value!r} lacks 'weights': a name or a .safetensors file")
    found = {file: choose_restorers([file])[0] for file in dict.fromkeys(files.values())}
    return {corruption: _chosen(found[file], given) for corruption, file in files.items()}


def _chosen(plain: RestorerChoice, given: Mapping[str, Any]) -> RestorerChoice:
    """Return a restorer as a study's settings want it."""
    source, consistent = given.get("quality_source", "file"), bool(given.get("consistent", False))
    if source not in QUALITY_SOURCES:
        raise StudyError(
            f"restorer {plain.label!r} has quality_source={source!r}; give one of "
            f"{', '.join(QUALITY_SOURCES)}"
        )
    strength = given.get("strength")
    if strength is not None:
        try:
            strength = validate_strength(strength)
        except QualityError as error:
            raise StudyError(f"restorer {plain.label!r}: {error}") from error
    own = plain.label + (FROM_FILE if consistent else "")
    own += "" if strength is None else f"×{strength:g}"
    label = str(given.get("name") or (own if source == "file" else f"{own}+{source}"))
    if label in REFERENCES:
        raise StudyError(f"a restorer is called {label!r}, as a reference is; give another name")
    return replace(
        plain, label=label, consistent=consistent, quality_source=source, strength=strength
    )


def _comparisons(value: Any, conditions: Sequence[Condition], jobs: Sequence[Job]) -> Comparisons:
    """Return what is compared, with names that the study has."""
    given = _settings(value, "compare", [field.name for field in fields(Comparisons)])
    rivals = given.get("rivals") or {}
    if not isinstance(rivals, Mapping):
        raise StudyError(
            f"compare.rivals is {rivals!r}; give a dict: each rival's name and that of the model "
            "it was trained from"
        )
    compare = Comparisons(**{**given, "rivals": tuple(rivals.items())})
    of_models = {name: {job.dataset for job in jobs if job.model == name} for name in _names(jobs)}
    for pair in compare.rivals:
        for name in pair:
            if name not in of_models:
                raise StudyError(
                    f"compare.rivals has {name!r}, which is no model of the study; it has: "
                    f"{', '.join(of_models) or 'none by name'}"
                )
        rival, model = pair
        if rival == model or not of_models[rival] & of_models[model]:
            raise StudyError(
                f"compare.rivals has {rival!r} against {model!r}, which cannot be compared; give "
                "two models on one data set"
            )
    labels = {one.restorer.label for one in conditions if one.restorer is not None}
    kinds = {one.corruption.kind for one in conditions if one.corruption is not None}
    for name, wanted, known in (
        ("baseline", compare.baseline, labels),
        ("rate", compare.rate, kinds),
    ):
        if wanted is not None and wanted not in known:
            raise StudyError(
                f"compare.{name} is {wanted!r}, which the study does not have; it has: "
                f"{', '.join(sorted(known)) or 'none'}"
            )
    return compare


def _names(jobs: Sequence[Job]) -> list[str]:
    """Return the names of the models, each once."""
    return list(dict.fromkeys(job.model for job in jobs if job.model is not None))


def _unique(names: Sequence[Any], where: str) -> Sequence[Any]:
    """Return names of which none is there twice."""
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise StudyError(f"{where} gives two cells the name {twice[0]!r}; name it once")
    return names
