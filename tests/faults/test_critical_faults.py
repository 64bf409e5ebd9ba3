"""Flips in the critical store of a whole satellite, in flight and between starts; tables tuned by telecommand."""

from __future__ import annotations

from pathlib import Path

import pytest

from bindings.crc import crc32c
from flight.config import load_config
from flight.services.arming import digest_of
from flight.services.command_set import Command
from flight.services.parameter_table import pack_image
from flight.tuning import flight_tables
from tests.faults.test_executive_faults import Looping
from tests.faults.test_processes import LIMIT_S

pytestmark = pytest.mark.slow


class Tuned(Looping):
    """Is told to do what is dangerous in two steps."""

    armed = 0

    def dangerous(self, opcode: int, arguments: bytes) -> None:
        self.armed += 1
        command = Command(opcode, arguments)
        digest = digest_of(command)
        self.order(bytes.fromhex("3e01") + self.armed.to_bytes(4, "big") + opcode.to_bytes(2, "big") + digest)
        self.heard(f"arming: source 7 armed command {opcode} as {self.armed}")
        self.order(bytes.fromhex("3e02") + self.armed.to_bytes(4, "big") + command.pack())

    def heard(self, text: str, times: int = 1) -> None:
        self.run_until(lambda: sum(text in said for said in self.said()) >= times, LIMIT_S)

    def flip(self, copy: str, place: int) -> None:
        path = self.folder / "run" / "critical" / copy
        octets = bytearray(path.read_bytes())
        octets[place] ^= 32
        path.write_bytes(octets)


def test_flips_in_the_critical_store_are_told_and_mended_and_neither_tables_nor_counted_starts_are_lost(
    tmp_path: Path,
) -> None:
    flown = Tuned(tmp_path)
    try:
        flown.run_until(lambda: flown.began() == 1, LIMIT_S)
        table = flight_tables(load_config(tmp_path / "satellite.toml"))[1]
        image = pack_image(table, {**table.defaults(), "repeat_s": 7200})
        flown.order(bytes.fromhex("4001") + image)
        flown.heard("parameters: table 2 staged")
        flown.order(bytes.fromhex("400202"))
        flown.heard("parameters: table 2 validated")
        flown.dangerous(0x4003, (2).to_bytes(8, "big"))
        flown.heard(f"parameters: table 2 is active, CRC {crc32c(image)}")
        flown.flip("critical.a", -1)  # of the last block's check, in flight
        flown.order(bytes.fromhex("3f03"))
        flown.heard("critical_store: block 259 was damaged in copy 0: mended")
        before = flown.released()
        flown.run_until(lambda: flown.released() >= before + 100, LIMIT_S)
        flown.run_until(lambda: flown.numbers("critical_store").get("mended") == 1, LIMIT_S)
        flown.flip("critical.b", 6 + 6 * 4 + 4 + 8)  # of the count of starts, before the next one
        flown.kill_flight()
        flown.heard("critical_store: block 1 was damaged in copy 1: mended")
        flown.order(bytes.fromhex("40060200"))
        flown.heard(f"parameters: table 2, image 0: CRC {crc32c(image)}")
        flown.flip("critical.a", 6 + 6 * 4 + 4 + 8)
        flown.kill_flight()
        flown.heard("begun in safe mode, level 1 of recovery")  # the third start of two
        flown.housekeeping.clear()
        flown.run_until(lambda: flown.released() >= 100, LIMIT_S)
        assert flown.numbers("executive")["healthy"] == 1
        assert flown.numbers("critical_store")["starts_limit"] == 2
    finally:
        flown.stop()
