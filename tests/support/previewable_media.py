"""Small pictures, sounds and films."""

from __future__ import annotations

import io
import math
import struct
import wave

from PIL import Image

WIDTH, HEIGHT = 40, 30
PIXELS = f"{WIDTH} \N{MULTIPLICATION SIGN} {HEIGHT} pixels"
"""As the page tells the size of a picture."""


def picture(form: str) -> bytes:
    """`form` as Pillow names it: PNG, JPEG, WEBP."""
    written = io.BytesIO()
    Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB").save(written, form)
    return written.getvalue()


def drawing(content: str) -> bytes:
    """SVG of the same size."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">{content}</svg>'
    ).encode()


def sound() -> bytes:
    """Half a second of a tone, as WAV."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        for sample in range(4000):
            file.writeframes(struct.pack("<h", int(8000 * math.sin(sample * 440 * math.tau / 8000))))
    return written.getvalue()


def film() -> bytes:
    """A film of one picture, as WebM: a lossy WebP picture is a key frame of VP8."""
    webp = picture("WEBP")
    length = int.from_bytes(webp[16:20], "little")
    assert webp[12:16] == b"VP8 "
    frame = webp[20 : 20 + length]
    head = _element(
        0x1A45DFA3, _element(0x4282, b"webm") + _element(0x4287, b"\x02") + _element(0x4285, b"\x02")
    )
    picture_size = _element(0xB0, bytes([WIDTH])) + _element(0xBA, bytes([HEIGHT]))
    track = (
        _element(0xD7, b"\x01")
        + _element(0x73C5, b"\x01")
        + _element(0x83, b"\x01")
        + _element(0x86, b"V_VP8")
        + _element(0xE0, picture_size)
    )
    info = _element(0x2AD7B1, (1_000_000).to_bytes(3)) + _element(0x4489, struct.pack(">d", 1000.0))
    cluster = _element(0xE7, b"\x00") + _element(0xA3, b"\x81\x00\x00\x80" + frame)
    segment = (
        _element(0x1549A966, info)
        + _element(0x1654AE6B, _element(0xAE, track))
        + _element(0x1F43B675, cluster)
    )
    return head + _element(0x18538067, segment)


def _element(name: int, content: bytes) -> bytes:
    """One of EBML, in which Matroska is written; its length in eight bytes."""
    return name.to_bytes((name.bit_length() + 7) // 8) + (1 << 56 | len(content)).to_bytes(8) + content
