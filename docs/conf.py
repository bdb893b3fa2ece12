"""Sphinx's settings. ``sphinx-build -W docs docs/_build``: pages that open from the folder."""

from importlib.util import find_spec

import jpeg_preproc

project = "jpeg_preproc"
author = "The jpeg_preproc authors"
copyright = author
version = release = jpeg_preproc.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"jpeg_preproc {version}"
html_copy_source = False
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Signatures say the types. Where a package is not installed, its part is built all the same.
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_mock_imports = [
    name
    for name in ("mmengine", "mmcv", "mmdet", "mmseg", "torchvision")
    if find_spec(name) is None
]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
