"""The space between a satellite and its ground stations: datagrams pass while a station sees the satellite.

Neither end decides whether a contact exists; geometry does. The channel's rate bounds the frames, and a seeded share
of them is lost.
"""

from __future__ import annotations

import json
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from flight.agent.orbit import Station, elevation_deg
from hal.clock import Clock
from hal.datagram import Address, DatagramSocket, parse_address
from hal.errors import DeadlineExceeded
from hal.link_model import LinkModel, LinkSettings
from hal.navigation.orbit import driver as navigation_driver
from hal.navigation.protocol import Navigation
from hal.shared_clock import SharedClock

MAX_DATAGRAM = 4096
POLL_S = 0.004  # host time


class ChannelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who talks to whom through which sky."""

    clock: str  # file of the shared clock
    orbit: dict[str, float]
    stations: list[tuple[str, float, float, float]]  # name, latitude, longitude, least elevation, degrees
    satellite_side: str  # host:port bound here, the peer of the satellite's radio
    satellite: str  # host:port of the satellite's radio
    station_side: str
    station: str
    rate_bps: float = 2e6
    loss: float = 0.0
    seed: int = 1


class Channel:
    """Both directions of one link."""

    def __init__(self, config: ChannelConfig, clock: Clock, navigation: Navigation) -> None:
        self._clock, self._navigation = clock, navigation
        self._stations = [Station(latitude, longitude, 0.0, least) for _, latitude, longitude, least in config.stations]
        settings = LinkSettings(rate_bps=config.rate_bps, loss=config.loss, queue_bytes=1 << 22)
        self._down, self._up = LinkModel(settings, config.seed), LinkModel(settings, config.seed + 1)
        self._satellite_side = DatagramSocket("channel", parse_address(config.satellite_side), clock, MAX_DATAGRAM)
        self._station_side = DatagramSocket("channel", parse_address(config.station_side), clock, MAX_DATAGRAM)
        self._satellite, self._station = parse_address(config.satellite), parse_address(config.station)
        self._buffer = bytearray(MAX_DATAGRAM)
        self.blocked = 0  # datagrams sent while no station saw the satellite

    def step(self) -> None:
        """Move what is due."""
        now_s = self._clock.mission_s()
        fix = self._navigation.at(now_s)
        seen = any(elevation_deg(station, fix) >= station.min_elevation_deg for station in self._stations)
        for source, sender, model in (
            (self._satellite_side, self._satellite, self._down),
            (self._station_side, self._station, self._up),
        ):
            for datagram in self._received(source, sender):
                if seen:
                    model.offer(datagram, now_s)
                else:
                    self.blocked += 1
        for datagram in self._down.due(now_s):
            self._station_side.send(datagram, self._station)
        for datagram in self._up.due(now_s):
            self._satellite_side.send(datagram, self._satellite)

    def close(self) -> None:
        self._satellite_side.close()
        self._station_side.close()

    def _received(self, source: DatagramSocket, sender: Address) -> list[bytes]:
        taken = []
        for _ in range(256):
            try:
                count, address = source.receive_into(self._buffer, 0.0)
            except DeadlineExceeded:
                break
            if address == sender:
                taken.append(bytes(self._buffer[:count]))
        return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m ground_test.sim.channel CONFIG.json`. Runs until SIGTERM."""
    path = (arguments if arguments is not None else sys.argv[1:])[0]
    config = msgspec.json.decode(Path(path).read_bytes(), type=ChannelConfig)
    clock = SharedClock(Path(config.clock))
    channel = Channel(config, clock, navigation_driver(config.orbit, clock))
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    while not stopped:
        channel.step()
        select.select([], [], [], POLL_S)
    print(json.dumps({"blocked": channel.blocked}), file=sys.stderr)
    channel.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
