"""The payload process: `python -m flight.pipeline.payload_process`, started by the supervisor.

Inference happens here, at the lowest priority, without keys and without a radio: pixels come through shared memory and
the strip store, class rows leave through answer slots, and the flight process checks both those and what is said here.
It is killed with its supervisor; whenever it is killed, the next one goes on at the next tile.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bindings.errors import SwathError
from flight.pipeline.answer_slots import AnswerWriter
from flight.pipeline.control import ForgetOrder, IdleOrder, InferOrder, PayloadOrder
from flight.pipeline.control_sockets import ControlPeer
from flight.pipeline.engine import Flow
from flight.pipeline.heartbeat import Heartbeat
from flight.pipeline.inference import InferenceSetup
from flight.pipeline.payload import Payload
from flight.pipeline.payload_job import ModelShelf
from flight.pipeline.process_setup import Parent, StopFlag, clock_argument, incarnation_of, lower_rights
from flight.pipeline.strip_buffer import StripReader
from hal.clock import Clock

IDLE_S = 0.02  # how long it waits for an order when there is no tile to do
NICE = 19
LAST_REPORT_S = 1.0  # for the word about memory to reach the flight process


def parser() -> argparse.ArgumentParser:
    """Start arguments of the payload process."""
    arguments = argparse.ArgumentParser(prog="python -m flight.pipeline.payload_process", description=__doc__)
    arguments.add_argument("--control", required=True, metavar="ipc:///PATH", help="the flight process's end")
    arguments.add_argument("--strip-fd", required=True, type=int, help="descriptor of the strip buffer, read only")
    arguments.add_argument("--answer-fd", required=True, type=int, help="descriptor of the answer slots")
    arguments.add_argument("--store", required=True, type=Path, help="folder of the strip store, only read")
    arguments.add_argument("--work", required=True, type=Path, help="folder for checkpoints")
    arguments.add_argument("--applications", type=Path, help="applications beside the built-in ones")
    arguments.add_argument("--inference", metavar="JSON", help="session policy and what was commissioned")
    arguments.add_argument("--memory-mb", type=int, help="bound of the address space (default: none)")
    arguments.add_argument("--parent", type=int, metavar="PID", help="the supervisor, whose end this process follows")
    arguments.add_argument("--beat-fd", type=int, help="pipe to the supervisor for signs of life (default: none)")
    arguments.add_argument("--clock", required=True, metavar="JSON", help="the mission clock")
    return arguments


def serve(
    payload: Payload, peer: ControlPeer[PayloadOrder], clock: Clock, parent: Parent, heartbeat: Heartbeat
) -> bool:
    """Tiles, orders and reports until told to stop or left alone, or there is no memory: then False."""
    stop = StopFlag()
    working = False
    while not stop.is_set and parent.alive:
        for order in peer.orders(0.0 if working else IDLE_S):
            payload.obey(order)
        working = payload.step()
        peer.report(payload.report(peer.incarnation), clock.host_s())
        heartbeat.beat(clock.host_s())
        if payload.is_starved:
            return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run until stopped. 1: there was no memory, and the report says so. 2: a start argument cannot be used."""
    arguments = parser().parse_args(argv)
    parent = Parent(signal.SIGKILL, arguments.parent)
    try:
        lower_rights(nice=NICE, memory_mb=arguments.memory_mb)
        clock = clock_argument(arguments.clock)
        inference = InferenceSetup.from_argument(arguments.inference) if arguments.inference else InferenceSetup()
        ring, slots = StripReader(arguments.strip_fd), AnswerWriter(arguments.answer_fd)
        peer = ControlPeer[PayloadOrder](arguments.control, (InferOrder, IdleOrder, ForgetOrder), incarnation_of(clock))
    except SwathError as error:
        print(f"payload: {error}", file=sys.stderr)
        return 2
    payload = Payload(
        work=arguments.work,
        store=arguments.store,
        ring=ring,
        slots=slots,
        shelf=ModelShelf(arguments.applications, inference, clock.host_s),
        host_s=clock.host_s,
        flow=Flow(cores=len(os.sched_getaffinity(0))),
    )
    fed = False
    try:
        fed = serve(payload, peer, clock, parent, Heartbeat(arguments.beat_fd))
    finally:
        payload.close()
        peer.close(linger_s=0.0 if fed else LAST_REPORT_S)
        ring.close()
        slots.close()
    return 0 if fed else 1


if __name__ == "__main__":
    sys.exit(main())
