"""The camera process: `python -m flight.pipeline.camera_process`, started by the supervisor.

It owns the sensor, the strip store and the writing end of the strip buffer, takes orders from whichever flight process
is at the other end of its control path, and outlives that one's restarts. It ends on SIGTERM and with its supervisor.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bindings.errors import SwathError
from flight.pipeline.camera import Camera, OpenSensor
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import CameraOrder, CaptureOrder, ReleaseOrder
from flight.pipeline.control_sockets import HEARTBEAT_S, ControlPeer
from flight.pipeline.heartbeat import Heartbeat
from flight.pipeline.process_errors import ProcessArgument
from flight.pipeline.process_setup import Parent, StopFlag, clock_argument, incarnation_of, lower_rights, table_argument
from flight.pipeline.sensor_description import describe
from flight.pipeline.strip_buffer import StripWriter
from flight.pipeline.strip_store import StripStore
from hal.clock import Clock
from hal.registry import open_device
from hal.sensor.protocol import Sensor

READ_S = 0.02  # how long one read may wait for lines before orders are looked at again


def parser() -> argparse.ArgumentParser:
    """Start arguments of the camera process."""
    arguments = argparse.ArgumentParser(prog="python -m flight.pipeline.camera_process", description=__doc__)
    arguments.add_argument("--control", required=True, metavar="ipc:///PATH", help="the flight process's end")
    arguments.add_argument("--strip-fd", required=True, type=int, help="descriptor of the strip buffer")
    arguments.add_argument("--store", required=True, type=Path, help="folder of the strip store")
    arguments.add_argument("--store-mb", type=int, default=512, help="bound of the strip store (default 512)")
    arguments.add_argument("--parent", type=int, metavar="PID", help="the supervisor, whose end this process follows")
    arguments.add_argument("--beat-fd", type=int, help="pipe to the supervisor for signs of life (default: none)")
    arguments.add_argument("--clock", required=True, metavar="JSON", help="the mission clock")
    arguments.add_argument("--sensor", required=True, metavar="JSON", help='{"driver": NAME, "options": {...}}')
    return arguments


def sensor_opener(table: dict[str, Any], clock: Clock) -> OpenSensor:
    """What opens the sensor for one capture. Raises ProcessArgument for a table that names none."""
    driver, options = table.get("driver"), table.get("options", {})
    if not isinstance(driver, str) or not isinstance(options, dict) or not set(table) <= {"driver", "options"}:
        raise ProcessArgument("--sensor", 'not of the form {"driver": NAME, "options": {...}}')

    def opened(start_s: float) -> tuple[Sensor, CaptureMeta]:
        sensor: Sensor = open_device("sensor", driver, options, clock)
        try:
            sensor.start(start_s)  # what a sensor sees, and so what its lines mean, may depend on when
            return sensor, describe(sensor)
        except BaseException:
            sensor.close()
            raise

    return opened


def serve(camera: Camera, peer: ControlPeer[CameraOrder], clock: Clock, parent: Parent, heartbeat: Heartbeat) -> None:
    """Orders, lines and reports until told to stop or left alone."""
    stop = StopFlag()
    while not stop.is_set and parent.alive:
        for order in peer.orders(0.0 if camera.busy else HEARTBEAT_S / 2):
            camera.obey(order)
        camera.step(clock.host_s() + READ_S)
        peer.report(camera.report(peer.incarnation), clock.host_s())
        heartbeat.beat(clock.host_s())


def main(argv: Sequence[str] | None = None) -> int:
    """Run until stopped. 2: a start argument cannot be used."""
    arguments = parser().parse_args(argv)
    parent = Parent(signal.SIGTERM, arguments.parent)
    try:
        lower_rights(nice=0, memory_mb=None)
        clock = clock_argument(arguments.clock)
        opener = sensor_opener(table_argument("--sensor", arguments.sensor), clock)
        ring = StripWriter(arguments.strip_fd)
        store = StripStore(arguments.store, arguments.store_mb << 20)
        peer = ControlPeer[CameraOrder](arguments.control, (CaptureOrder, ReleaseOrder), incarnation_of(clock))
    except SwathError as error:
        print(f"camera: {error}", file=sys.stderr)
        return 2
    camera = Camera(opener, store, ring, clock)
    try:
        serve(camera, peer, clock, parent, Heartbeat(arguments.beat_fd))
    finally:
        camera.close()
        peer.close()
        ring.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
