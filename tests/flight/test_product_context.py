"""The context code against a decoder in plain Python, written from docs/context-code.md alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.context import ContextCodeInvalid, ContextEncoder, decode_context
from tests.bindings.test_context import class_maps
from tests.flight.product import independent_context
from tests.flight.product.cases import blobs


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    encoder = ContextEncoder(pixels.shape[1], 20 * pixels.size + 8)
    encoder.feed(pixels)
    octets = encoder.end()
    assert octets is not None
    return octets


@settings(max_examples=60, deadline=None)
@given(class_maps())
def test_the_independent_decoder_gives_the_pixels_back(pixels: NDArray[np.uint8]) -> None:
    assert independent_context.decode(encoded(pixels), *pixels.shape) == pixels.tolist()


def test_the_independent_decoder_reads_long_stretches_and_many_classes() -> None:
    for pixels in (np.zeros((3, 9000), np.uint8), blobs(60, 110, 5, classes=6, wedge=9)):
        assert independent_context.decode(encoded(pixels), *pixels.shape) == pixels.tolist()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=30), st.integers(1, 9), st.integers(1, 30))
def test_both_decoders_refuse_the_same_octets(octets: bytes, rows: int, width: int) -> None:
    out = np.empty((rows, width), np.uint8)
    try:
        decode_context(octets, out, np.zeros(256, np.uint64))
    except ContextCodeInvalid:
        with pytest.raises(independent_context.Refused):
            independent_context.decode(octets, rows, width)
        return
    assert independent_context.decode(octets, rows, width) == out.tolist()
