"""The base of every error of the flight package; each room derives its own base from it."""

from __future__ import annotations

from bindings.errors import SwathError


class FlightError(SwathError):
    """Base of every error of the flight package."""

    code = "flight_error"
