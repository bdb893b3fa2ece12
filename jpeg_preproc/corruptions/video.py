"""Video codecs as a step of a history: one intra frame, through PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from PIL import Image

from jpeg_preproc.corruptions.contract import Coded, Coding
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg.versions import import_library

# Both codecs work on macroblocks of 16x16 pixels.
_MACROBLOCK = 16


@dataclass(frozen=True)
class VideoCodec:
    """What is to be known of a video codec.

    Attributes:
        name: What people call it.
        encoder: FFmpeg's name of what encodes.
        decoder: FFmpeg's name of what decodes.
        low: Least setting, the best quality.
        high: Greatest setting, the worst quality.
        setting: What people call its setting.
        options: Names of the encoder's options that take it.
    """

    name: str
    encoder: str
    decoder: str
    low: int
    high: int
    setting: str
    options: tuple[str, ...]


#: Each setting holds the quality constant, since one frame has no bit rate.
VIDEO_CODECS = {
    "mpeg2": VideoCodec(
        "MPEG-2", "mpeg2video", "mpeg2video", 1, 31, "quantiser scale", ("qmin", "qmax")
    ),
    "h264": VideoCodec("H.264", "libx264", "h264", 1, 51, "CRF", ("crf",)),
}


@dataclass(frozen=True)
class VideoFrame(Coding):
    """The image as one intra frame: 8 bits, 4:2:0, BT.601 in limited range.

    Sides are padded to whole macroblocks by their last row and column, and cut again; grey images
    pass through RGB and back.

    Attributes:
        codec: One of :data:`VIDEO_CODECS`.
        quality: Setting of the codec, of which a larger one is worse.
    """

    codec: str
    quality: int

    @property
    def libraries(self) -> Sequence[str]:
        """What the result depends on."""
        return ("ffmpeg",)

    def code(self, pixels: npt.NDArray[np.uint8]) -> Coded:
        """Return the pixels after coding and the frame's bytes."""
        height, width = pixels.shape[:2]
        colour = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
        margins = ((0, -height % _MACROBLOCK), (0, -width % _MACROBLOCK), (0, 0))
        av = import_library("ffmpeg")
        try:
            packets = self._encoded(np.pad(colour, margins, mode="edge"))
            decoded = self._decoded(packets)[:height, :width]
        except av.error.FFmpegError as error:
            raise CorruptionError(
                f"An image of {width}x{height} pixels cannot be coded as {self.codec} ({error}); "
                "give a smaller one or another corruption."
            ) from error
        decoded = np.ascontiguousarray(decoded)
        if pixels.ndim == 2:
            decoded = np.array(Image.fromarray(decoded).convert("L"))
        return Coded(decoded, b"".join(packets))

    def _encoded(self, colour: npt.NDArray[np.uint8]) -> list[bytes]:
        """Return the packets of a (H, W, 3) frame."""
        av = import_library("ffmpeg")
        known = VIDEO_CODECS[self.codec]
        encoder = av.CodecContext.create(known.encoder, "w")
        encoder.height, encoder.width = colour.shape[:2]
        encoder.pix_fmt = "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
        # Several threads may cut a frame into slices.
        encoder.thread_count = 1
        encoder.options = {name: str(self.quality) for name in known.options}
        frame = av.VideoFrame.from_ndarray(colour, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG"
        )
        frame.pts = 0
        return [bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None))]

    def _decoded(self, packets: Sequence[bytes]) -> npt.NDArray[np.uint8]:
        """Return the (H, W, 3) frame of some packets."""
        av = import_library("ffmpeg")
        decoder = av.CodecContext.create(VIDEO_CODECS[self.codec].decoder, "r")
        decoder.thread_count = 1
        frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
        frames += decoder.decode(None)
        decoded: npt.NDArray[np.uint8] = (
            frames[0]
            .reformat(format="rgb24", src_colorspace="ITU601", src_color_range="MPEG")
            .to_ndarray()
        )
        return decoded
