"""Driver options: an untyped table from a configuration file, read by name with types, bounds and defaults."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from hal.errors import HalError

MAX_TEXT = 4096


class DriverOptions(HalError, ValueError):
    """An option that a driver cannot use."""

    code = "driver_options"
    exit_status = 2

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"option `{option}`: {reason}")
        self.option, self.reason = option, reason


class Options:
    """The options of one driver. Unknown names are refused at once, with the nearest known one.

    >>> Options("radio udp", {"port": 9}, ("port",)).integer("port")
    9
    """

    def __init__(self, driver: str, values: Mapping[str, Any], known: Iterable[str]) -> None:
        self._driver, self._values = driver, values
        names = sorted(known)
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(str(name), names, 1)
                hint = f"; did you mean `{near[0]}`?" if near else f"; known: {', '.join(names)}"
                raise DriverOptions(str(name), f"unknown to {driver}{hint}")

    def number(
        self, name: str, default: float | None = None, *, minimum: float = -math.inf, maximum: float = math.inf
    ) -> float:
        """A finite number within [minimum, maximum]."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise DriverOptions(name, f"{self._driver} needs a number, got {type(value).__name__}")
        if not (minimum <= value <= maximum and abs(value) <= sys.float_info.max):  # TOML has longer whole numbers
            raise DriverOptions(name, f"{value} is outside {minimum} ... {maximum}")
        return float(value)

    def integer(self, name: str, default: int | None = None, *, minimum: int = -(2**53), maximum: int = 2**53) -> int:
        """A whole number within [minimum, maximum]."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise DriverOptions(name, f"{self._driver} needs a whole number, got {type(value).__name__}")
        if not minimum <= value <= maximum:
            raise DriverOptions(name, f"{value} is outside {minimum} ... {maximum}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A string of at most MAX_TEXT characters."""
        value = self._get(name, default)
        if not isinstance(value, str):
            raise DriverOptions(name, f"{self._driver} needs a string, got {type(value).__name__}")
        if len(value) > MAX_TEXT:
            raise DriverOptions(name, f"{self._driver} takes at most {MAX_TEXT} characters, got {len(value)}")
        return value

    def strings(self, name: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        value = self._get(name, default)
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise DriverOptions(name, f"{self._driver} needs a list of strings")
        return tuple(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise DriverOptions(name, f"{self._driver} needs true or false, got {type(value).__name__}")
        return value

    def table(self, name: str) -> Mapping[str, Any]:
        """A sub-table; empty when absent."""
        value = self._values.get(name, {})
        if not isinstance(value, Mapping):
            raise DriverOptions(name, f"{self._driver} needs a table, got {type(value).__name__}")
        return value

    def has(self, name: str) -> bool:
        """Whether the option was given."""
        return name in self._values

    def _get(self, name: str, default: Any) -> Any:
        if name in self._values:
            return self._values[name]
        if default is None:
            raise DriverOptions(name, f"missing; {self._driver} needs it")
        return default
