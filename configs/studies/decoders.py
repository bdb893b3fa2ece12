"""How much the chroma of a JPEG matters: stored whole, halved in width, halved both ways.

What a study can express of decoders is what the encoder stores. Pillow and OpenCV decode the same
bytes to the same pixels; a decoder that repeats chroma instead of smoothing it, as nvJPEG does, is
no corruption here: neither offers libjpeg's choice of upsampling.
"""

_base_ = "_base_/small_models.py"

title = "Chroma: 4:4:4, 4:2:2 and 4:2:0"
corruptions = [
    *("jpeg:10", "jpeg:20", "jpeg:40"),
    *("jpeg:10,4:2:2", "jpeg:20,4:2:2", "jpeg:40,4:2:2"),
    *("jpeg:10,4:4:4", "jpeg:20,4:4:4", "jpeg:40,4:4:4"),
]
restorers = ["small-task"]
compare = dict(rate="jpeg")
