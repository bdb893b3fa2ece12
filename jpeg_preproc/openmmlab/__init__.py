"""Restoration inside OpenMMLab: the only room that imports mmengine, mmcv, mmdet or mmseg.

A config needs one line, ``custom_imports = dict(imports=['jpeg_preproc.openmmlab'],
allow_failed_imports=False)``, and may then name ``JpegCompress`` and ``JpegRestore`` in any
pipeline of mmdet, mmseg or another OpenMMLab project.
"""

try:
    import mmcv.transforms  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"jpeg_preproc.openmmlab needs mmcv and mmengine ({error}); install OpenMMLab's, or "
        "onedl-mmcv and onedl-mmengine, into this environment",
        name=error.name,
    ) from error

from jpeg_preproc.openmmlab.place import check_pipeline
from jpeg_preproc.openmmlab.transforms import JpegCompress, JpegRestore

__all__ = ["JpegCompress", "JpegRestore", "check_pipeline"]
