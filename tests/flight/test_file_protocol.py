"""Packets of the file process: whatever comes, it is a packet or it is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.services.file_protocol import Operation, ProtocolInvalid, Reply, ReplyKind, Request

U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
REQUESTS = st.builds(Request, U32, U32, st.sampled_from(Operation), st.text(max_size=40), st.text(max_size=40), U16)
REPLIES = st.builds(
    Reply, st.sampled_from(ReplyKind), st.sampled_from(Operation), U32, st.integers(0, 255), U16,
    st.tuples(U64, U64, U64),
)  # fmt: skip


@given(st.binary(max_size=80))
def test_whatever_the_octets_they_are_a_packet_or_refused(octets: bytes) -> None:
    for kind in (Request, Reply):
        try:
            packet = kind.unpack(octets)
        except ProtocolInvalid:
            continue
        assert packet.pack() == octets


@pytest.mark.parametrize("cut", [slice(0, -1), slice(1, None), slice(0, 5)])
def test_a_packet_that_is_cut_is_refused(cut: slice) -> None:
    with pytest.raises(ProtocolInvalid):
        Request.unpack(Request(1, 2, Operation.COPY, "from", "to").pack()[cut])
    with pytest.raises(ProtocolInvalid):
        Reply.unpack(Reply(ReplyKind.DONE, Operation.COPY, 2).pack()[cut])


@given(REQUESTS, REPLIES)
def test_a_packet_comes_out_as_it_went_in(request: Request, reply: Reply) -> None:
    assert Request.unpack(request.pack()) == request
    assert Reply.unpack(reply.pack()) == reply
