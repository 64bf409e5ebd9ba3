"""Errors of the camera and payload processes, and of the memory, files and messages between them and flight."""

from __future__ import annotations

from flight.pipeline.errors import PipelineError


class MemoryRefused(PipelineError, ValueError):
    """A descriptor that is no sealed shared memory of the expected kind: mapping it could fault later."""

    code = "memory_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(f"shared memory refused: {reason}")
        self.reason = reason


class StripInvalid(PipelineError, ValueError):
    """The strip buffer's header does not describe a strip that fits the memory. Nothing of it is believed."""

    code = "strip_invalid"

    def __init__(self, field: str, value: int) -> None:
        super().__init__(f"strip buffer header: {field} = {value} is not possible")
        self.field, self.value = field, value


class StripLapped(PipelineError, LookupError):
    """The lines asked for are not in the ring: overwritten, not yet written, or of another generation."""

    code = "strip_lapped"

    def __init__(self, first: int, count: int) -> None:
        super().__init__(f"lines {first} ... {first + count - 1} are not in the strip buffer")
        self.first, self.count = first, count


class StripTooWide(PipelineError, ValueError):
    """Fewer than two lines of this format fit the strip buffer."""

    code = "strip_too_wide"

    def __init__(self, line_bytes: int, memory_bytes: int) -> None:
        super().__init__(f"lines of {line_bytes} bytes do not fit a strip buffer of {memory_bytes} bytes")
        self.line_bytes, self.memory_bytes = line_bytes, memory_bytes


class StoreError(PipelineError, OSError):
    """Base of the strip store's errors."""

    code = "store_error"


class StoreFull(StoreError):
    """The store's bound leaves no room, even with every released capture removed."""

    code = "store_full"

    def __init__(self, needed_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"the strip store has no {needed_bytes} bytes left under its limit of {limit_bytes}")
        self.needed_bytes, self.limit_bytes = needed_bytes, limit_bytes


class LinesDiffer(PipelineError, ValueError):
    """An order whose description of a capture has other columns, bands or samples than its stored lines."""

    code = "lines_differ"

    def __init__(self, capture: bytes) -> None:
        super().__init__(f"capture {capture.hex()[:16]}: the order describes other lines than those stored")
        self.capture = capture.hex()


class CaptureAbsent(StoreError):
    """No capture of this id in the store, or one whose lines were removed."""

    code = "capture_absent"

    def __init__(self, capture: bytes) -> None:
        super().__init__(f"capture {capture.hex()} is not in the strip store")
        self.capture = capture.hex()


class CaptureExists(StoreError):
    """A capture id that was used before: an area is never looked at twice for one order."""

    code = "capture_exists"

    def __init__(self, capture: bytes) -> None:
        super().__init__(f"capture {capture.hex()} was taken before")
        self.capture = capture.hex()


class StoreDamaged(StoreError):
    """A capture whose description cannot be read."""

    code = "store_damaged"

    def __init__(self, capture: bytes, reason: str) -> None:
        super().__init__(f"capture {capture.hex()}: {reason}")
        self.capture, self.reason = capture.hex(), reason


class LinesUnavailable(PipelineError, LookupError):
    """Lines that have not come, were released, or are neither in the ring nor in the store."""

    code = "lines_unavailable"

    def __init__(self, first: int, count: int, available: int) -> None:
        super().__init__(f"lines {first} ... {first + count - 1} cannot be read, {available} have come")
        self.first, self.count, self.available = first, count, available


class AnswerError(PipelineError, ValueError):
    """Base of the reasons for which the flight side refuses a strip that the payload process offers."""

    code = "answer_error"


class AnswerOutOfRange(AnswerError):
    """An offer that points outside the slots, the strip or the scene."""

    code = "answer_out_of_range"

    def __init__(self, field: str, value: int, limit: int) -> None:
        super().__init__(f"offered strip: {field} = {value}, allowed is {limit}")
        self.field, self.value, self.limit = field, value, limit


class AnswerStale(AnswerError):
    """The slot holds another generation than the offer says, or changed while it was copied."""

    code = "answer_stale"

    def __init__(self, slot: int, offered: int, found: int) -> None:
        super().__init__(f"slot {slot} holds generation {found}, the offer says {offered}")
        self.slot, self.offered, self.found = slot, offered, found


class AnswerCorrupt(AnswerError):
    """The copied octets do not have the CRC-32C that the offer says."""

    code = "answer_corrupt"

    def __init__(self, slot: int, offered: int, found: int) -> None:
        super().__init__(f"slot {slot}: CRC-32C {found:08x}, the offer says {offered:08x}")
        self.slot, self.offered, self.found = slot, offered, found


class AnswerClassInvalid(AnswerError):
    """A class map value that the application does not declare."""

    code = "answer_class_invalid"

    def __init__(self, value: int, classes: int) -> None:
        super().__init__(f"class {value} in an answer of an application with classes 0 ... {classes - 1}")
        self.value, self.classes = value, classes


class ControlError(PipelineError, ValueError):
    """A control message that is not exactly what the contract says."""

    code = "control_error"

    def __init__(self, reason: str) -> None:
        super().__init__(f"control message refused: {reason}")
        self.reason = reason


class EndpointRefused(PipelineError, ValueError):
    """A control endpoint that cannot be used."""

    code = "endpoint_refused"
    exit_status = 2

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"control endpoint {endpoint}: {reason}")
        self.endpoint, self.reason = endpoint, reason


class ProcessArgument(PipelineError, ValueError):
    """A start argument of the camera or payload process that cannot be used."""

    code = "process_argument"
    exit_status = 2

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(f"{argument}: {reason}")
        self.argument, self.reason = argument, reason


class SensorUndescribed(PipelineError, ValueError):
    """A sensor whose lines cannot be used because nobody says what they are."""

    code = "sensor_undescribed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
