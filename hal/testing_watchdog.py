"""What every watchdog driver must do, as a class of tests. A driver passes it by inheriting from it:

class TestMyWatchdog(WatchdogConformance):
    def open_watchdog(self): return driver({"device": "/dev/watchdog"}, SystemClock())

Never run it on a device whose driver has `nowayout` set: the computer resets.
"""

from __future__ import annotations

import os

import pytest

from hal.errors import DeviceClosed
from hal.watchdog.protocol import Watchdog


class WatchdogConformance:
    """Inherit, and override open_watchdog."""

    def open_watchdog(self) -> Watchdog:
        """A fresh device, armed by being opened."""
        raise NotImplementedError("a conformance test names its driver by overriding open_watchdog")

    def test_it_says_when_it_bites(self) -> None:
        watchdog = self.open_watchdog()
        assert 0 < watchdog.timeout_s <= 3600
        watchdog.close(disarm=True)

    def test_it_is_petted_from_python_and_by_the_frame_clock_through_its_descriptor(self) -> None:
        watchdog = self.open_watchdog()
        for _ in range(100):
            watchdog.pet()
        if watchdog.fileno() >= 0:
            assert os.get_inheritable(watchdog.fileno()) is False
            assert os.write(watchdog.fileno(), b"\0") == 1
        watchdog.close(disarm=True)

    def test_closing_twice_is_harmless_and_a_closed_device_says_so(self) -> None:
        watchdog = self.open_watchdog()
        watchdog.close(disarm=True)
        watchdog.close(disarm=True)
        assert watchdog.fileno() == -1
        with pytest.raises(DeviceClosed):
            watchdog.pet()
