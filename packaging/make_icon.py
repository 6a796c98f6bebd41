"""Draws the program's sign, a prompt and its cursor: icon.png and icon.ico beside this file."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

Point = tuple[float, float]

GROUND, PROMPT, CURSOR = (0x16, 0x18, 0x1D), (0x7A, 0xA2, 0xF7), (0x9E, 0xCE, 0x6A)
# In a square from 0 to 1.
_CORNER, _STROKE = 0.22, 0.055
_PROMPT: tuple[tuple[Point, Point], ...] = (
    ((0.24, 0.30), (0.46, 0.50)),
    ((0.46, 0.50), (0.24, 0.70)),
)
_CURSOR: tuple[tuple[Point, Point], ...] = (((0.56, 0.70), (0.77, 0.70)),)
# Each pixel is the mean of so many by so many points.
_FINENESS = 4
SIZES = (16, 24, 32, 48, 64, 128, 256)


def draw(size: int) -> bytes:
    """A PNG of `size` by `size` pixels, transparent around the rounded square."""
    rows = b"".join(b"\0" + b"".join(_pixel(x, y, size) for x in range(size)) for y in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def pack_icon(images: Iterable[tuple[int, bytes]]) -> bytes:
    """An .ico of PNGs, given with their sizes."""
    images = [*images]
    place = 6 + 16 * len(images)
    entries = b""
    for size, data in images:
        # 256 is written as 0.
        entries += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(data), place)
        place += len(data)
    head = struct.pack("<HHH", 0, 1, len(images))
    return head + entries + b"".join(data for _, data in images)


def _pixel(x: int, y: int, size: int) -> bytes:
    colours = [_colour(point) for point in _points(x, y, size)]
    seen = [each for each in colours if each is not None]
    if not seen:
        return bytes(4)
    mean = [round(sum(each[n] for each in seen) / len(seen)) for n in range(3)]
    return bytes([*mean, round(255 * len(seen) / len(colours))])


def _points(x: int, y: int, size: int) -> Iterator[Point]:
    step = 1 / (size * _FINENESS)
    for row in range(_FINENESS):
        for column in range(_FINENESS):
            yield x / size + (column + 0.5) * step, y / size + (row + 0.5) * step


def _colour(point: Point) -> tuple[int, int, int] | None:
    """None outside of the square."""
    x, y = point
    inner = min(max(x, _CORNER), 1 - _CORNER), min(max(y, _CORNER), 1 - _CORNER)
    if _length(point, inner) > _CORNER:
        return None
    if any(_distance(point, *line) <= _STROKE for line in _PROMPT):
        return PROMPT
    return CURSOR if any(_distance(point, *line) <= _STROKE for line in _CURSOR) else GROUND


def _distance(point: Point, start: Point, end: Point) -> float:
    """From a point to a line with two ends."""
    (px, py), (ax, ay), (bx, by) = point, start, end
    along = ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / _length(start, end) ** 2
    along = min(1.0, max(0.0, along))
    return _length(point, (ax + along * (bx - ax), ay + along * (by - ay)))


def _length(start: Point, end: Point) -> float:
    return ((start[0] - end[0]) ** 2 + (start[1] - end[1]) ** 2) ** 0.5


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    here = Path(__file__).parent
    (here / "icon.png").write_bytes(draw(256))
    (here / "icon.ico").write_bytes(pack_icon((size, draw(size)) for size in SIZES))
