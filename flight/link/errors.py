"""Errors of the link room. No octets from outside make it raise anything else."""

from __future__ import annotations

from flight.errors import FlightError


class LinkError(FlightError):
    """Base of every error of the link package."""

    code = "link_error"


class FieldOutOfRange(LinkError, ValueError):
    """A header field that its bits cannot hold, or that the standard forbids."""

    code = "field_out_of_range"

    def __init__(self, field: str, value: int, low: int, high: int) -> None:
        super().__init__(f"{field} must be {low}..{high}, got {value}")
        self.field, self.value, self.low, self.high = field, value, low, high


def require(field: str, value: int, low: int, high: int) -> None:
    """Raise FieldOutOfRange unless low <= value <= high."""
    if not low <= value <= high:
        raise FieldOutOfRange(field, value, low, high)


class PacketError(LinkError, ValueError):
    """Base of what can be wrong with a space packet."""

    code = "packet_error"


class PacketTooShort(PacketError):
    """Fewer octets than the packet's header, or its length field, asks for."""

    code = "packet_too_short"

    def __init__(self, needed: int, got: int) -> None:
        super().__init__(f"a space packet needs {needed} octets, got {got}")
        self.needed, self.got = needed, got


class PacketTooLong(PacketError):
    """Octets after the end that the length field names, or more than the receiver takes."""

    code = "packet_too_long"

    def __init__(self, allowed: int, got: int) -> None:
        super().__init__(f"a space packet ends after {allowed} octets, got {got}")
        self.allowed, self.got = allowed, got


class PacketVersionUnsupported(PacketError):
    """Not version 1 (coded 000)."""

    code = "packet_version_unsupported"

    def __init__(self, version: int) -> None:
        super().__init__(f"space packet version {version} is not supported, only 0 is")
        self.version = version


class FrameError(LinkError, ValueError):
    """Base of what can be wrong with a transfer frame. A refused frame changes nothing in the receiver."""

    code = "frame_error"


class FrameTooShort(FrameError):
    """Fewer octets than the header and the check need."""

    code = "frame_too_short"

    def __init__(self, needed: int, got: int) -> None:
        super().__init__(f"a transfer frame needs at least {needed} octets, got {got}")
        self.needed, self.got = needed, got


class FrameLengthMismatch(FrameError):
    """The frame is not as long as its header, or the channel, says."""

    code = "frame_length_mismatch"

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"a transfer frame of {expected} octets was expected, got {got}")
        self.expected, self.got = expected, got


class FrameCheckFailed(FrameError):
    """The frame error control field does not fit the octets."""

    code = "frame_check_failed"

    def __init__(self, carried: int, computed: int) -> None:
        super().__init__(f"frame error control field {carried:#06x}, computed {computed:#06x}")
        self.carried, self.computed = carried, computed


class FrameUnsupported(FrameError):
    """A legal frame of a kind that this receiver does not offer."""

    code = "frame_unsupported"

    def __init__(self, what: str, value: int) -> None:
        super().__init__(f"{what} {value} is not supported")
        self.what, self.value = what, value


class FrameForeign(FrameError):
    """A frame for another spacecraft or channel."""

    code = "frame_foreign"

    def __init__(self, field: str, expected: int, got: int) -> None:
        super().__init__(f"a frame for {field} {got}, this is {field} {expected}")
        self.field, self.expected, self.got = field, expected, got


class FrameDuplicate(FrameError):
    """A telecommand frame that was accepted before."""

    code = "frame_duplicate"

    def __init__(self, channel: int, sequence: int) -> None:
        super().__init__(f"telecommand frame {sequence} of channel {channel} was accepted before")
        self.channel, self.sequence = channel, sequence


class SegmentRefused(FrameError):
    """A segment that does not continue a packet, or makes it longer than the receiver takes."""

    code = "segment_refused"

    def __init__(self, map_id: int, reason: str) -> None:
        super().__init__(f"segment on MAP {map_id}: {reason}")
        self.map_id, self.reason = map_id, reason


class ChannelFull(LinkError, BufferError):
    """The queue of a virtual channel is at its bound. Nothing was queued."""

    code = "channel_full"

    def __init__(self, channel: int, pending: int, limit: int) -> None:
        super().__init__(f"virtual channel {channel} holds {pending} of {limit} octets")
        self.channel, self.pending, self.limit = channel, pending, limit
