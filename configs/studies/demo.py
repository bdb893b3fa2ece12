"""The study that ``jpeg-preproc study`` measures where none is named; it lies in the package."""

_base_ = "../../jpeg_preproc/demo/configs/demo.py"
