"""AGARNet's recompression experiment, for models: JPEG saved twice, at ten pairs of qualities.

The paper names its qualities low, mid, high and ultrahigh, and says neither what they are nor
whether the second grid lies elsewhere. Here they are 10, 40, 70 and 90, on one grid.
"""

_base_ = "_base_/small_models.py"

title = "Saved twice: AGARNet's recompression"
corruptions = [
    "double_jpeg:10,70",  # low, high
    "double_jpeg:10,90",
    "double_jpeg:40,70",  # mid
    "double_jpeg:40,90",
    "double_jpeg:70,40",  # high
    "double_jpeg:70,70",
    "double_jpeg:70,90",
    "double_jpeg:90,40",  # ultrahigh
    "double_jpeg:90,70",
    "double_jpeg:90,90",
]
restorers = ["small-task", "agarnet-tiny"]
compare = dict(baseline="agarnet-tiny")
