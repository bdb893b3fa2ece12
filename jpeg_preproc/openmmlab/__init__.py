"""Restoration inside OpenMMLab: the only room that imports mmcv, mmdet or mmseg.

A config needs one line, ``custom_imports = dict(imports=['jpeg_preproc.openmmlab'],
allow_failed_imports=False)``, and may then name ``JpegCompress`` and ``JpegRestore`` in any
pipeline of mmdet, mmseg or another OpenMMLab project, or restore on the model's device with
``JpegDefer`` and a data preprocessor. :func:`with_jpeg_restore` writes either into a copy of a
stock config.
"""

try:
    import mmcv.transforms  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"jpeg_preproc.openmmlab needs mmcv and mmengine ({error}); install OpenMMLab's, or "
        "onedl-mmcv and onedl-mmengine, into this environment",
        name=error.name,
    ) from error

from jpeg_preproc.openmmlab.convert import with_jpeg_restore
from jpeg_preproc.openmmlab.defer import JpegDefer
from jpeg_preproc.openmmlab.place import check_pipeline
from jpeg_preproc.openmmlab.preprocessor import (
    JpegRestoreDetDataPreprocessor,
    JpegRestoreSegDataPreprocessor,
)
from jpeg_preproc.openmmlab.transforms import JpegCompress, JpegCorrupt, JpegRestore

__all__ = [
    "JpegCompress",
    "JpegCorrupt",
    "JpegDefer",
    "JpegRestore",
    "JpegRestoreDetDataPreprocessor",
    "JpegRestoreSegDataPreprocessor",
    "check_pipeline",
    "with_jpeg_restore",
]
