"""What every power driver must do, as a class of tests. A driver passes it by inheriting from it:

class TestMyRails(PowerConformance):
    def open_power(self, clock): return driver({"root": "/sys/class/hwmon"}, clock)
"""

from __future__ import annotations

import pytest

from hal.clock import Clock, SimulatedClock
from hal.errors import DeviceClosed
from hal.power.protocol import Power

START_MISSION_S = 1_790_000_000.0


class PowerConformance:
    """Inherit, and override open_power (and make_clock where the device needs real time)."""

    def open_power(self, clock: Clock) -> Power:
        """A fresh device."""
        raise NotImplementedError("a conformance test names its driver by overriding open_power")

    def make_clock(self) -> Clock:
        return SimulatedClock(START_MISSION_S)

    def test_a_reading_is_of_now_and_within_its_own_bounds(self) -> None:
        clock = self.make_clock()
        power = self.open_power(clock)
        before_s = clock.mission_s()
        for _ in range(20):
            clock.sleep_until(clock.mission_s() + 0.05)
            reading = power.read()
            assert before_s <= reading.time_s <= clock.mission_s()
            assert 0 <= reading.battery_wh <= reading.capacity_wh and reading.capacity_wh > 0
            assert 0 <= reading.state_of_charge <= 1
            assert reading.solar_w >= 0 and reading.load_w >= 0
            before_s = reading.time_s
        power.close()

    def test_a_consumer_may_say_what_it_draws(self) -> None:
        clock = self.make_clock()
        power = self.open_power(clock)
        before_w = power.read().load_w
        power.set_load_w("payload", 15.0)
        power.set_load_w("payload", 15.0)  # what it draws now, not more of it
        reading = power.read()
        if reading.modelled:
            assert reading.load_w == pytest.approx(before_w + 15.0)
            power.set_load_w("payload", 0.0)
            assert power.read().load_w == pytest.approx(before_w)
        power.close()

    def test_closing_twice_is_harmless_and_a_closed_device_says_so(self) -> None:
        power = self.open_power(self.make_clock())
        power.close()
        power.close()
        with pytest.raises(DeviceClosed):
            power.read()
