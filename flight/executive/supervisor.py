"""The supervisor: starts the satellite's processes, owns their shared memory, restarts what dies.

A flight, camera or payload process that lives and gives no sign of life for a declared time is made to end and
restarted too (docs/health.md). It decides nothing else. The flight process holds the keys and the radio, the camera
process the sensor, the payload process the models; the journal writer lives and dies with the flight process it
serves, because the journal is replayed when a new flight process begins. A kill of any of them is a restart, not a
lost satellite.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

from flight.config import SatelliteConfig
from flight.executive.clock_page import ClockPage
from flight.executive.crash_loop import HEALTHY_S
from flight.executive.critical_supervision import NO_DESCRIPTOR, CriticalSupervision
from flight.executive.errors import ExecutiveError
from flight.executive.health_notices import Heartbeats, Notice, NoticeBox, NoticeKind, NoticeSender, ProcessNumber
from flight.executive.health_silence import Liveness, Reaction, SilenceWatch
from flight.executive.run_paths import RunPaths
from flight.file_process import arguments_of
from flight.pipeline.answer_slots import create_answer_memory
from flight.pipeline.inference import FLOAT_ON_CPU, InferenceSetup, flown_setup
from flight.pipeline.shared_memory import read_only
from flight.pipeline.strip_buffer import create_strip_memory
from flight.services.rooted import PathRefused, forbidden_beneath
from hal.clock import Clock
from payload_models.runtime.errors import CommissioningInvalid

FIRST_BACKOFF_S = 0.05
MAX_BACKOFF_S = 2.0
STEADY_S = 1.0  # a process that lived this long begins again at the first back-off
DRAIN_S = 15.0  # the journal writer's time to commit what it has received
STOP_S = 5.0
CHECK_S = 1.0  # between two looks at who gave a sign of life
TILE_LIMITS = 1.5  # a payload process may be silent this much longer than a tile may take
# a block of lines and the loading of a graph take less
LIVENESS = Liveness(silent_s=12.0, begin_s=60.0, end_s=1.0)
WATCHED = ("flight", "camera", "payload")
FLIGHT_MODULE = "flight.flight_process"
# the flight process alone may speak to the service manager: another could feed its watchdog
NOTIFY_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class ProcessNotStarted(ExecutiveError, OSError):
    """A process of the satellite cannot be started at all."""

    code = "process_not_started"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


@dataclass(slots=True)
class _Child:
    """One supervised process."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    backoff_s: float = FIRST_BACKOFF_S
    due_s: float = 0.0
    restarts: int = -1
    pidfd: int = -1
    hung: int = 0
    beats: Heartbeats | None = None
    watch: SilenceWatch | None = None


@dataclass(slots=True)
class Supervisor:
    """One satellite's processes. run() returns when the flight process ends by itself, or after SIGTERM or SIGINT."""

    config: SatelliteConfig
    config_path: Path
    paths: RunPaths
    clock: Clock
    report: Callable[[Mapping[str, object]], None]  # one record a line of the log
    liveness: Liveness = LIVENESS  # of the camera and the payload process
    _children: dict[str, _Child] = field(default_factory=dict)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _stopping: bool = False
    _journal: subprocess.Popen[bytes] | None = None
    _strip_fd: int = -1
    _strip_read_fd: int = -1
    _answer_fd: int = -1
    _files: tuple[socket.socket, ...] = ()  # the flight process's end, the file process's; both outlive both
    _forbidden_files: tuple[str, ...] = ()
    _inference: InferenceSetup = FLOAT_ON_CPU
    _notices: NoticeSender | None = None
    _critical: CriticalSupervision | None = None
    _clock_page: ClockPage = field(default_factory=ClockPage)

    def run(self) -> int:
        """Exit status of the flight process: 0 when it ended as commanded."""
        for folder in (self.paths.root, self.paths.strips, self.paths.work, self.paths.files):
            folder.mkdir(parents=True, exist_ok=True)
        storage = self.config.storage
        # one reading for both processes: the flight process names in products what the payload process runs
        self._inference = flown_setup(self.config.inference, self.config_path.parent, self._not_commissioned)
        self._strip_fd = create_strip_memory(storage.strip_buffer_mb << 20)
        self._strip_read_fd = read_only(self._strip_fd)
        self._answer_fd = create_answer_memory(storage.answer_slots, storage.answer_slot_kb << 10)
        self._files = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        previous_wakeup = signal.set_wakeup_fd(wake_write)
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        self._selector.register(wake_read, selectors.EVENT_READ, "wake")
        requests = NoticeBox(self.paths.requests)
        self._selector.register(requests, selectors.EVENT_READ, "requests")
        self._notices = NoticeSender(self.paths.notices)
        self._critical = CriticalSupervision(self.config, self.paths, self.report)
        if self._critical.keeper is not None:
            self._selector.register(self._critical.keeper, selectors.EVENT_READ, "critical")
        self._children = {
            "flight": _Child("flight", self._start_flight),
            "camera": _Child("camera", self._start_camera),
            "payload": _Child("payload", self._start_payload),
        }
        if self._may_keep_files():
            self._children["files"] = _Child("files", self._start_files)
        try:
            return self._loop(wake_read, requests)
        finally:
            self._stop_all()
            self._critical.end()
            self._critical.close()
            self._notices.close()
            requests.close()
            signal.set_wakeup_fd(previous_wakeup)
            for number, handler in previous.items():
                signal.signal(number, handler)
            for descriptor in (wake_read, wake_write, self._strip_fd, self._strip_read_fd, self._answer_fd):
                os.close(descriptor)
            self._clock_page.close()
            for end in self._files:
                end.close()
            self._selector.close()

    def _loop(self, wake_read: int, requests: NoticeBox) -> int:
        while not self._stopping:
            now_s = self.clock.host_s()
            for child in self._children.values():
                if child.process is None and now_s >= child.due_s:
                    self._start(child)
                self._watch(child, now_s)
            waits = [child.due_s - now_s for child in self._children.values() if child.process is None]
            for key, _ in self._selector.select(min([CHECK_S, *(max(0.0, wait_s) for wait_s in waits)])):
                if key.data == "wake":
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake_read, 4096)
                    continue
                if key.data == "requests":
                    self._asked(requests.take())
                    continue
                if key.data == "critical":
                    assert self._critical is not None and self._critical.keeper is not None
                    self._critical.keeper.serve()
                    continue
                status = self._ended(self._children[key.data])
                if key.data == "flight" and (status == 0 or (status == 2 and self._never_flew())):
                    return status
        return 0

    def _limits(self, name: str) -> Liveness:
        """A tile that takes too long is to end by its own limit first, which is looked at four times in that time."""
        if name != "payload":
            return self.liveness
        tile_s = TILE_LIMITS * self._inference.policy.tile_limit_s
        return replace(self.liveness, silent_s=max(self.liveness.silent_s, tile_s))

    def _watch(self, child: _Child, now_s: float) -> None:
        """A process that is alive and silent beyond its limit is asked to end, then killed; its end restarts it."""
        lives = child.process is not None and now_s - child.started_s >= HEALTHY_S
        if child.name == "flight" and lives and self._critical is not None:
            self._critical.end()
        if child.process is None or child.watch is None or child.beats is None:
            return
        reaction = child.watch.judge(now_s, heard=child.beats.heard())
        if reaction is Reaction.TERMINATE:
            child.hung += 1
            silent_ms = round(child.watch.silent_s * 1000)
            record = {"event": "hung", "process": child.name, "silent_ms": silent_ms, "times": child.hung}
            self.report(record | (self._clock_page.missed() if child.name == "flight" else {}))
            self._tell(NoticeKind.HUNG, child, child.hung, silent_ms)
            child.process.terminate()
        elif reaction is Reaction.KILL:
            self.report({"event": "killed", "process": child.name})
            self._tell(NoticeKind.KILLED, child, child.hung)
            child.process.kill()  # also one that is stopped, which a request to end does not reach

    def _asked(self, notices: list[Notice]) -> None:
        for notice in notices:
            child = self._children[notice.process.name.lower()]
            if notice.kind is not NoticeKind.RESTART or child.process is None or child.watch is None:
                continue
            if child.watch.end() is Reaction.TERMINATE:
                self.report({"event": "restart_asked", "process": child.name})
                child.process.terminate()

    def _tell(self, kind: NoticeKind, child: _Child, total: int, detail: int = 0) -> None:
        assert self._notices is not None
        self._notices.send(Notice(kind, ProcessNumber[child.name.upper()], total, detail))

    def _not_commissioned(self, error: CommissioningInvalid) -> None:
        self.report({"event": "not_commissioned", "code": error.code, "message": str(error)})

    def _never_flew(self) -> bool:
        """The first flight process could not begin: a mistake in the configuration, which no restart mends."""
        return self._children["flight"].restarts == 0

    def _start(self, child: _Child) -> None:
        if child.name in WATCHED:
            child.beats = Heartbeats()
        try:
            child.process = child.start()
            child.pidfd = os.pidfd_open(child.process.pid)
        except OSError as error:
            raise ProcessNotStarted(child.name, error.strerror or str(error)) from error
        child.started_s = self.clock.host_s()
        child.restarts += 1
        self._selector.register(child.pidfd, selectors.EVENT_READ, child.name)
        if child.beats is not None:
            child.beats.started()
            child.watch = SilenceWatch(self._limits(child.name), child.started_s)
            if child.restarts:
                self._tell(NoticeKind.RESTARTED, child, child.restarts)
        self._write_pids()
        self.report({"event": "started", "process": child.name, "pid": child.process.pid, "restarts": child.restarts})

    def _ended(self, child: _Child) -> int:
        assert child.process is not None
        status = child.process.wait()
        self._forget(child)
        now_s = self.clock.host_s()
        if now_s - child.started_s >= STEADY_S:
            child.backoff_s = FIRST_BACKOFF_S
        child.due_s = now_s + child.backoff_s
        child.backoff_s = min(MAX_BACKOFF_S, child.backoff_s * 2)
        self.report({"event": "ended", "process": child.name, "status": status})
        if child.name == "flight":
            self._drain_journal()
        return status

    def _forget(self, child: _Child) -> None:
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        child.process = child.watch = None
        if child.beats is not None:
            child.beats.close()
            child.beats = None

    def _drain_journal(self) -> None:
        """The writer sees the end of its socket, commits what it has and exits; only then may a new one begin."""
        if self._journal is None:
            return
        try:
            status = self._journal.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self._journal.kill()
            status = self._journal.wait()
        if status != 0:
            self.report({"event": "ended", "process": "journal", "status": status})
        self._journal = None

    def _start_flight(self) -> subprocess.Popen[bytes]:
        assert self._critical is not None
        recovery, critical = self._critical.begin()
        passed = [self._answer_fd, self._files[0].fileno(), self._beat_fd("flight"), self._clock_page.fd]
        kept = critical != NO_DESCRIPTOR
        ours, theirs = socket.socketpair()
        with ours, theirs:
            writer = self._module(
                "flight.services.journal_process",
                ("--fd", str(theirs.fileno()), "--path", str(self.paths.journal)),
                (theirs.fileno(),),
            )
            self._journal = writer
            restarts = {name: max(child.restarts, 0) for name, child in self._children.items()}
            restarts["flight"] = self._children["flight"].restarts + 1
            passed.append(ours.fileno())
            return self._module(
                FLIGHT_MODULE,
                (
                    *("--config", str(self.config_path), "--run-dir", str(self.paths.root)),
                    *("--journal-fd", str(ours.fileno()), "--answer-fd", str(self._answer_fd)),
                    *("--inference", self._inference.to_argument()),
                    *("--restarts", json.dumps(restarts), "--parent", str(os.getpid())),
                    *("--recovery", str(int(recovery)), "--files-fd", str(self._files[0].fileno())),
                    *("--beat-fd", str(self._beat_fd("flight")), "--clock-fd", str(self._clock_page.fd)),
                    *(("--critical-fd", str(critical)) if kept else ()),
                ),
                (*passed, *((critical,) if kept else ())),
            )

    def _start_camera(self) -> subprocess.Popen[bytes]:
        sensor = self.config.devices.sensor
        return self._module(
            "flight.pipeline.camera_process",
            (
                *("--control", self.paths.endpoint("camera"), "--strip-fd", str(self._strip_fd)),
                *("--store", str(self.paths.strips), "--store-mb", str(self.config.storage.strips_mb)),
                *("--parent", str(os.getpid())),
                *("--clock", self.config.clock.to_json()),
                *("--sensor", json.dumps({"driver": sensor.driver, "options": sensor.options})),
                *("--beat-fd", str(self._beat_fd("camera"))),
            ),
            (self._strip_fd, self._beat_fd("camera")),
        )

    def _start_payload(self) -> subprocess.Popen[bytes]:
        return self._module(
            "flight.pipeline.payload_process",
            (
                *("--control", self.paths.endpoint("payload"), "--strip-fd", str(self._strip_read_fd)),
                *("--answer-fd", str(self._answer_fd), "--store", str(self.paths.strips)),
                *("--work", str(self.paths.work), "--clock", self.config.clock.to_json()),
                *("--inference", self._inference.to_argument(), "--parent", str(os.getpid())),
                *("--beat-fd", str(self._beat_fd("payload"))),
            ),
            (self._strip_read_fd, self._answer_fd, self._beat_fd("payload")),
        )

    def _may_keep_files(self) -> bool:
        """False where the root lies in a place that the services may not name: it is flown without a file process."""
        keys = self.config_path.parent / self.config.keys_dir
        places = (self.paths.strips, self.paths.work, self.paths.critical, self.paths.journal, keys)
        try:
            self._forbidden_files = forbidden_beneath(self.paths.files, places)
        except PathRefused as refused:
            self.report({"event": "no_files", "code": refused.code, "message": str(refused)})
            return False
        return True

    def _start_files(self) -> subprocess.Popen[bytes]:
        descriptor = self._files[1].fileno()
        # only what lies beneath its root is named to it: it learns no other place
        arguments = arguments_of(descriptor, self.paths.files, self._forbidden_files)
        return self._module("flight.file_process", arguments, (descriptor,))

    def _beat_fd(self, name: str) -> int:
        beats = self._children[name].beats
        assert beats is not None
        return beats.write_fd

    def _module(self, name: str, arguments: tuple[str, ...], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", name, *arguments],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            env={key: text for key, text in os.environ.items() if name == FLIGHT_MODULE or key not in NOTIFY_VARIABLES},
            start_new_session=True,  # a ^C at the terminal reaches the supervisor alone, which stops them in order
        )

    def _write_pids(self) -> None:
        pids = {name: child.process.pid for name, child in self._children.items() if child.process is not None}
        if self._journal is not None:
            pids["journal"] = self._journal.pid
        temporary = self.paths.pids.with_suffix(".new")
        temporary.write_text(json.dumps(pids))
        temporary.replace(self.paths.pids)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _stop_all(self) -> None:
        """The flight process first, so that it can flush; then those that serve it."""
        for name in ("flight", "camera", "payload", "files"):
            child = self._children.get(name)
            if child is None or child.process is None:
                continue
            child.process.terminate()
            try:
                child.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            self._forget(child)
            if name == "flight":
                self._drain_journal()
        self._drain_journal()
