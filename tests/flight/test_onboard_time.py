"""The computer's clock is held against what the bus says."""

from __future__ import annotations

from flight.onboard_time import BusTime
from flight.services.events import EventRing
from flight.services.time_component import OSCILLATOR_WENT_BACK, SAMPLE_REFUSED
from flight.services.time_service import TimeState
from hal.clock import SimulatedClock


class Computer(SimulatedClock):
    """A clock that somebody may set."""

    def __init__(self, now_s: float) -> None:
        super().__init__(now_s)
        self.set_s = 0.0

    def mission_s(self) -> float:
        return super().mission_s() + self.set_s


def test_a_bus_that_jumps_alone_is_not_believed_and_one_that_insists_is() -> None:
    clock = Computer(1.8e9)
    events = EventRing(100, clock)
    time = BusTime(clock, events)
    time.hear(1.8e9)
    for second in range(1, 4):
        clock.advance(1.0)
        time.hear(1.8e9 + second + 3600)
        known = time.service.now(time.service.newest_ns)
        off_s = known.utc.mission_ns / 1e9 - clock.mission_s()
        assert round(off_s) == (3600 if second == 3 else 0)
    assert [record.number for record in events.drain(100)].count(SAMPLE_REFUSED.number) == 2


def test_a_clock_that_is_set_back_is_told_and_time_is_lost_until_the_bus_speaks() -> None:
    clock = Computer(1.8e9)
    events = EventRing(100, clock)
    time = BusTime(clock, events)
    time.hear(1.8e9)
    assert time.telemetry(0.0).values[0] == TimeState.CORRELATED
    clock.set_s = -500.0
    time.hear(1.8e9)
    assert time.telemetry(0.0).values[0] == TimeState.LOST
    assert OSCILLATOR_WENT_BACK.number in [record.number for record in events.drain(100)]
    clock.advance(1.0)
    time.hear(1.8e9 + 1)
    assert time.telemetry(0.0).values[0] == TimeState.CORRELATED
