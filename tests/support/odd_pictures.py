"""Pictures as they come: damaged, lying, huge, odd; made for real, in memory."""

import io
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}


def noise(size=(48, 32), mode="RGB"):
    """A picture that does not compress well, so that a cut always loses some of it."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(picture, kind, **more):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **more)
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks, bits=8, rows=b""):
    """A PNG of RGB pixels, written by hand so that it may lie."""
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    return head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


ROWS = (b"\0" + b"\x80" * 24) * 8
"""Of 8 × 8 pixels."""
BOMB = zlib.compress(bytes(200 * 2**20), 9)
"""200 kB that unpack to 200 MB."""
FRAMES = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
ANIMATED = {"save_all": True, "append_images": FRAMES[1:]}
DEPTH = encoded(FRAMES[0], "MPO", **ANIMATED)

BAD = {
    "empty": ("a.png", b"", "is empty"),
    "html": ("a.png", b"<!doctype html><title>404</title>", "is no png, jpg, webp or bmp inside"),
    "a program": ("a.png", Path(sys.executable).resolve().read_bytes()[:4096], "is no png, jpg, webp or bmp inside"),
    "a tiff": ("a.png", encoded(noise(), "TIFF"), "is no png, jpg, webp or bmp inside"),
    "a tiff of floats": ("a.png", encoded(Image.new("F", (4, 4), 0.5), "TIFF"), "is no png, jpg, webp or bmp inside"),
    "a PostScript program": ("a.png", encoded(noise(), "EPS"), "is no png, jpg, webp or bmp inside"),
    "a pdf": ("a.jpg", encoded(noise(), "PDF"), "is no png, jpg, webp or bmp inside"),
    "16 bits grey": ("a.png", encoded(Image.fromarray(np.full((4, 4), 40000, np.uint16)), "PNG"), "8 bits a channel"),
    "60,000 × 60,000": ("a.png", png(60_000, 60_000, rows=ROWS), "has more than 64 million pixels; make it smaller"),
    "10,000 × 10,000": ("a.png", png(9_000, 9_000, rows=ROWS), "has 9000 × 9000 pixels; make it smaller"),
    "no pixels behind the size": ("a.png", png(7_900, 7_900, rows=ROWS), "is damaged or cut short"),
    "iTXt that inflates": ("a.png", png(8, 8, chunk(b"iTXt", b"k\0\1\0\0\0" + BOMB), rows=ROWS), "is damaged"),
    "zTXt that inflates": ("a.png", png(8, 8, chunk(b"zTXt", b"k\0\0" + BOMB), rows=ROWS), "is damaged"),
    "a profile that inflates": ("a.png", png(8, 8, chunk(b"iCCP", b"k\0\0" + BOMB), rows=ROWS), "is damaged"),
    **{
        f"{kind} cut at {share}": (f"a{suffix}", encoded(noise((90, 80)), kind), share)
        for suffix, kind in FORMATS.items()
        for share in (0.02, 0.3, 0.7, 0.98)
    },
}  # fmt: skip
GOOD = {
    "png called jpg": ("a.jpg", encoded(noise(), "PNG"), (48, 32), ""),
    "gif called png": ("a.png", encoded(noise(), "GIF"), (48, 32), ""),
    "animated gif called webp": ("a.webp", encoded(FRAMES[0], "GIF", **ANIMATED), (16, 16), "its first frame is used"),
    "animated webp": ("a.webp", encoded(FRAMES[0], "WEBP", **ANIMATED), (16, 16), "its first frame is used"),
    "animated png": ("a.png", encoded(FRAMES[0], "PNG", **ANIMATED), (16, 16), "its first frame is used"),
    "a telephone's jpg with a second picture": ("a.jpg", DEPTH, (16, 16), ""),
    "CMYK": ("a.jpg", encoded(noise(mode="CMYK"), "JPEG"), (48, 32), "print colours"),
    "palette": ("a.png", encoded(noise(mode="P"), "PNG"), (48, 32), ""),
    "1 bit": ("a.bmp", encoded(noise(mode="1"), "BMP"), (48, 32), ""),
    "grey with alpha": ("a.png", encoded(Image.new("LA", (8, 8), (90, 0)), "PNG"), (8, 8), "laid on white"),
    "alpha": ("a.webp", encoded(Image.new("RGBA", (8, 8), (9, 9, 9, 9)), "WEBP"), (8, 8), "laid on white"),
    "alpha that is solid": ("a.png", encoded(noise(mode="RGBA"), "PNG"), (48, 32), ""),
    "16 bits a colour": ("a.png", png(4, 8, bits=16, rows=ROWS), (4, 8), ""),
    "1 × 1": ("a.png", encoded(noise((1, 1)), "PNG"), (1, 1), ""),
    "20,000 × 10": ("a.png", encoded(noise((20_000, 10)), "PNG"), (20_000, 10), "far from square"),
    "a name of commands and line ends": ("-rf\n$(id);a'.png", encoded(noise(), "PNG"), (48, 32), ""),
    "a name that is no text": (os.fsdecode(b"a\xff.png"), encoded(noise(), "PNG"), (48, 32), ""),
    "EXIF of garbage": ("a.png", png(8, 8, chunk(b"eXIf", b"II*\0\x08\0\0\0" + b"\xff" * 50), rows=ROWS), (8, 8), ""),
}  # fmt: skip
