"""What the world does to a JPEG: saved twice, resized, cropped, with other tables.

The damage is that of QF 10 and 20 throughout, so that what differs is what a restorer can know.
"""

_base_ = "_base_/small_models.py"

title = "Histories of a JPEG"
corruptions = [
    "jpeg:10",
    "double_jpeg:10,95",
    "double_jpeg:10,95,shift=4",
    "resized_jpeg:10,0.75",
    "resized_jpeg:10,0.75,then=90",
    "cropped_jpeg:10",
    "tables:photoshop_low,10",
    "tables:canon,10",
    "tables:mozjpeg,10",
    "jpeg:20",
    "double_jpeg:20,95",
    "double_jpeg:20,95,shift=4",
    "resized_jpeg:20,0.75",
    "resized_jpeg:20,0.75,then=90",
    "cropped_jpeg:20",
    "tables:photoshop_low,20",
    "tables:canon,20",
    "tables:mozjpeg,20",
]
restorers = ["small-task"]
compare = dict(robustness=True)
