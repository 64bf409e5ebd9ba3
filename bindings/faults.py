"""The errors of the C boundary, and the one map from the codes of the C core to them."""

from __future__ import annotations

from bindings.errors import BindingsError


class BufferMismatch(BindingsError, ValueError):
    """An array that C must not see: wrong type, shape, order, alignment, or read-only."""

    code = "buffer_mismatch"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


class GeometryRefused(BindingsError, ValueError):
    """Sizes that do not fit each other (tile and overlap, bands and scales, rows and scene)."""

    code = "geometry_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WindowMismatch(BindingsError, IndexError):
    """A tile needs a scene row that the window does not hold."""

    code = "window_mismatch"

    def __init__(self, row: int, first_row: int, rows: int) -> None:
        super().__init__(f"the tile needs scene row {row}; the window holds {first_row} to {first_row + rows - 1}")
        self.row, self.first_row, self.rows = row, first_row, rows


class OrderMismatch(BindingsError, RuntimeError):
    """A call out of turn: a tile that is not the next one, a frame that was not taken."""

    code = "order_mismatch"

    def __init__(self, reason: str = "the call does not follow the one before it") -> None:
        super().__init__(reason)
        self.reason = reason


class StateRefused(BindingsError, ValueError):
    """Saved state that is damaged or belongs to another geometry."""

    code = "state_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClockStopped(BindingsError, RuntimeError):
    """The frame clock does not run: it was not started, or it has been stopped."""

    code = "clock_stopped"

    def __init__(self) -> None:
        super().__init__("the frame clock does not run")


class SystemRefused(BindingsError, OSError):
    """The operating system refused what the C core asked of it."""

    code = "system_refused"


class CoreFault(BindingsError, RuntimeError):
    """The C core refused what the door should have refused before it: a defect of the bindings."""

    code = "core_fault"

    def __init__(self, value: int) -> None:
        super().__init__(f"the C core returned {value}")
        self.value = value
