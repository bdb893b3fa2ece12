"""AGARNet's transcoding experiment, for models: frames of a video, saved as JPEG.

The paper takes 30 frames of MPEG-2 at 1 and 4 Mbit/s and saves them at QF 60 and 80. Here each
image is one intra frame at a quantiser scale, coarse and fine, and H.264's beside it.
"""

_base_ = "_base_/small_models.py"

title = "Frames of a video saved as JPEG: AGARNet's transcoding"
corruptions = [
    "transcoded:60,mpeg2,24",
    "transcoded:80,mpeg2,24",
    "transcoded:60,mpeg2,10",
    "transcoded:80,mpeg2,10",
    "transcoded:60,h264,40",
    "transcoded:80,h264,40",
    "transcoded:60,h264,30",
    "transcoded:80,h264,30",
]
restorers = ["small-task", "agarnet-tiny"]
compare = dict(baseline="agarnet-tiny")
