"""Why not change the codec? JPEG, jpegli, WebP, AVIF and JPEG XL at equal bits per pixel.

Each codec is measured at several of its own qualities, chosen to span like rates; what it has at
the bits of JPEG is read off its curve. Needs the extra ``[codecs]``.
"""

_base_ = "_base_/small_models.py"

title = "Codecs at equal bits per pixel"
corruptions = [
    *("jpeg:5", "jpeg:10", "jpeg:20", "jpeg:40", "jpeg:70", "jpeg:90"),
    *("jpegli:5", "jpegli:15", "jpegli:30", "jpegli:50", "jpegli:75", "jpegli:90"),
    *("webp:0", "webp:5", "webp:15", "webp:40", "webp:75", "webp:92"),
    *("avif:15", "avif:25", "avif:35", "avif:50", "avif:65", "avif:80"),
    *("jpegxl:5", "jpegxl:15", "jpegxl:30", "jpegxl:50", "jpegxl:75", "jpegxl:90"),
]
restorers = ["small-task"]
compare = dict(rate="jpeg")
