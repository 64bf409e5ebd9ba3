"""One colour a class, the same in every export."""

from __future__ import annotations

from flight.product.header import ProductHeader

Colour = tuple[int, int, int]

_BY_NAME: dict[str, Colour] = {
    "water": (31, 120, 180),
    "flood": (8, 81, 156),
    "land": (214, 204, 178),
    "clear": (120, 144, 110),
    "cloud": (250, 250, 250),
    "ship": (227, 26, 28),
    "fire": (255, 127, 0),
    "burn": (106, 61, 154),
    "crop": (51, 160, 44),
    "change": (253, 191, 111),
}
_BY_VALUE: tuple[Colour, ...] = (
    (205, 205, 205),
    (31, 120, 180),
    (227, 26, 28),
    (51, 160, 44),
    (255, 127, 0),
    (106, 61, 154),
    (177, 89, 40),
    (251, 154, 153),
)


def palette(header: ProductHeader) -> tuple[Colour, ...]:
    """A colour for each class; pixels without an answer have none (black, transparent where that exists)."""
    return tuple(_BY_NAME.get(name, _BY_VALUE[value % len(_BY_VALUE)]) for value, name in enumerate(header.classes))
