"""What a bus or a ring refuses, with the numbers."""

from __future__ import annotations

from bindings.errors import BindingsError


class BusRefused(BindingsError, ValueError):
    """A declaration that does not hold together: an id or a name twice, a route to nowhere, a size out of range."""

    code = "bus_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownMessage(BindingsError, KeyError):
    """An id that was not declared. The bus counts these."""

    code = "unknown_message"

    def __init__(self, message: int) -> None:
        super().__init__(f"message {message} is not declared")
        self.message = message

    def __str__(self) -> str:
        return str(self.args[0])


class MessageTooLong(BindingsError, ValueError):
    """More octets than the message was declared with. Nothing was published, and it is counted as refused."""

    code = "message_too_long"

    def __init__(self, message: int, octets: int, max_octets: int) -> None:
        super().__init__(f"message {message} has at most {max_octets} octets, got {octets}")
        self.message, self.octets, self.max_octets = message, octets, max_octets


class BufferTooSmall(BindingsError, ValueError):
    """The oldest waiting message does not fit into the buffer. It stays where it is."""

    code = "buffer_too_small"

    def __init__(self, needed: int, got: int) -> None:
        super().__init__(f"the next message needs {needed} octets, the buffer has {got}")
        self.needed, self.got = needed, got


class RingRefused(BindingsError, ValueError):
    """A descriptor that is no ring, sizes that no ring can have, or what an end cannot do."""

    code = "ring_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RingHeld(BindingsError, RuntimeError):
    """Another one is this end of the ring: a ring has one writer and one reader."""

    code = "ring_held"

    def __init__(self, end: str) -> None:
        super().__init__(f"the ring has a {end} already")
        self.end = end


class RingClosed(BindingsError, RuntimeError):
    """The end is closed, or was inherited by a forked child, which has to attach one of its own."""

    code = "ring_closed"

    def __init__(self) -> None:
        super().__init__("the end of the ring is closed, or was inherited from a parent process")


class RingDamaged(BindingsError, RuntimeError):
    """The memory held what no writer writes. It is skipped and counted; the next call goes on behind it."""

    code = "ring_damaged"

    def __init__(self, damaged: int, resynchronised: int) -> None:
        super().__init__(
            f"the ring held what no writer writes ({damaged} times by now, in {resynchronised} of them up to its end)"
        )
        self.damaged, self.resynchronised = damaged, resynchronised
