"""The watchdog bites when health fails and not before: against devices that reset when nobody pets them."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bindings.frame_clock import FrameClock
from flight.executive.frame_source import SimulatedFrames
from flight.executive.health import HealthGate
from flight.services.events import EventRing
from hal.clock import SimulatedClock, SystemClock
from hal.errors import DeviceClosed, DeviceUnavailable
from hal.options import DriverOptions
from hal.registry import drivers, load, open_device
from hal.testing_watchdog import WatchdogConformance
from hal.watchdog import linux
from hal.watchdog.file import driver as file_driver
from hal.watchdog.linux import CannotDisarm, LinuxWatchdog, has_no_way_out
from hal.watchdog.systemd import SystemdWatchdog, of_environment

EVERYTHING = linux.WDIOF_SETTIMEOUT | linux.WDIOF_MAGICCLOSE | linux.WDIOF_KEEPALIVEPING


class FakeDevice:
    """A watchdog as the kernel offers it, in virtual time. `reset` is when it bit."""

    def __init__(self, now_s: Callable[[], float], options: int = EVERYTHING, *, most_s: int = 60) -> None:
        self.now_s, self.options, self.most_s = now_s, options, most_s
        self.timeout_s, self.boot_status, self.nowayout = 30, 0, False
        self.armed = self.magic = False
        self.petted_s = 0.0
        self._reset: float | None = None
        self.refuse: dict[int, int] = {}  # request -> errno
        self.descriptors: list[int] = []

    @property
    def reset(self) -> float | None:
        """When it bit, None while it did not."""
        if self._reset is None and self.armed and self.now_s() - self.petted_s > self.timeout_s:
            self._reset = self.petted_s + self.timeout_s
        return self._reset

    def open(self, path: Path) -> int:
        self.armed, self.magic = True, False
        self._pet()
        self.descriptors.append(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
        return self.descriptors[-1]

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes:
        assert descriptor == self.descriptors[-1]
        if request in self.refuse:
            raise OSError(self.refuse[request], os.strerror(self.refuse[request]))
        if request == linux.WDIOC_GETSUPPORT:
            return struct.pack("=II32s", self.options, 1, b"fake")
        if request == linux.WDIOC_SETTIMEOUT:
            self.timeout_s = min(self.most_s, struct.unpack("=i", argument)[0])
            return struct.pack("=i", self.timeout_s)
        if request == linux.WDIOC_GETTIMEOUT:
            return struct.pack("=i", self.timeout_s)
        if request == linux.WDIOC_GETBOOTSTATUS:
            return struct.pack("=i", self.boot_status)
        assert request == linux.WDIOC_KEEPALIVE
        self._pet()
        return argument

    def write(self, descriptor: int, octets: bytes) -> int:
        assert descriptor == self.descriptors[-1]
        self._pet()
        self.magic = octets[-1:] == b"V"
        return len(octets)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)
        if self.magic and not self.nowayout:
            self.armed = False

    def _pet(self) -> None:
        if self.reset is None:
            self.petted_s = self.now_s()


@pytest.fixture
def fake() -> FakeDevice:
    return FakeDevice(SimulatedClock().host_s)


# --- the device of Linux


class TestLinux(WatchdogConformance):
    def open_watchdog(self) -> LinuxWatchdog:
        return LinuxWatchdog(Path("/dev/watchdog"), 5.0, FakeDevice(SimulatedClock().host_s))


@pytest.mark.parametrize(
    ("request_code", "number", "reason"),
    [
        (linux.WDIOC_GETSUPPORT, errno.ENOTTY, "is no watchdog"),
        (linux.WDIOC_SETTIMEOUT, errno.EINVAL, "is no watchdog"),
        (linux.WDIOC_GETTIMEOUT, errno.EOPNOTSUPP, "is no watchdog"),
    ],
)
def test_a_device_that_refuses_is_disarmed_and_unavailable(
    fake: FakeDevice, request_code: int, number: int, reason: str
) -> None:
    fake.refuse[request_code] = number
    with pytest.raises(DeviceUnavailable, match=reason):
        LinuxWatchdog(Path("/dev/watchdog"), 5.0, fake)
    assert not fake.armed


def test_a_device_that_bites_at_once_is_unavailable(fake: FakeDevice) -> None:
    fake.most_s = 0
    with pytest.raises(DeviceUnavailable, match="bites after 0 s"):
        LinuxWatchdog(Path("/dev/watchdog"), 5.0, fake)


def test_the_time_is_the_one_that_the_device_grants(fake: FakeDevice) -> None:
    fake.most_s, fake.boot_status = 16, linux.WDIOF_CARDRESET
    watchdog = LinuxWatchdog(Path("/dev/watchdog"), 25.0, fake)
    assert (watchdog.timeout_s, watchdog.identity, watchdog.reset_by_watchdog) == (16.0, "fake", True)
    watchdog.close(disarm=True)


def test_a_device_without_settimeout_keeps_its_time_and_one_without_boot_status_says_no(fake: FakeDevice) -> None:
    fake.options = linux.WDIOF_MAGICCLOSE
    fake.refuse = dict.fromkeys(
        (linux.WDIOC_SETTIMEOUT, linux.WDIOC_GETBOOTSTATUS, linux.WDIOC_KEEPALIVE), errno.ENOTTY
    )
    watchdog = LinuxWatchdog(Path("/dev/watchdog"), 5.0, fake)
    assert (watchdog.timeout_s, watchdog.reset_by_watchdog) == (30.0, False)
    watchdog.pet()  # by writing
    watchdog.close(disarm=True)
    assert not fake.armed


def test_closed_without_a_word_it_goes_on_running(fake: FakeDevice) -> None:
    LinuxWatchdog(Path("/dev/watchdog"), 5.0, fake).close(disarm=False)
    assert fake.armed and not fake.magic


@pytest.mark.parametrize(("options", "nowayout"), [(EVERYTHING, True), (linux.WDIOF_SETTIMEOUT, False)])
def test_what_cannot_be_stopped_is_not_told_to_and_says_that_it_will_bite(
    fake: FakeDevice, options: int, nowayout: bool
) -> None:
    fake.options, fake.nowayout = options, nowayout
    watchdog = LinuxWatchdog(Path("/dev/watchdog"), 5.0, fake, nowayout=nowayout)
    with pytest.raises(CannotDisarm, match="within 5 s"):
        watchdog.close(disarm=True)
    assert fake.armed and not fake.magic
    with pytest.raises(DeviceClosed):
        watchdog.pet()


def test_nowayout_is_what_the_kernel_says(tmp_path: Path) -> None:
    for name, text in (("watchdog0", "1\n"), ("watchdog1", "0\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nowayout").write_text(text)
    assert has_no_way_out(Path("/dev/watchdog"), tmp_path)
    assert not has_no_way_out(Path("/dev/watchdog1"), tmp_path)
    assert not has_no_way_out(Path("/dev/watchdog2"), tmp_path)


def test_a_device_that_goes_away_is_unavailable(fake: FakeDevice) -> None:
    watchdog = LinuxWatchdog(Path("/dev/watchdog"), 5.0, fake)
    fake.refuse[linux.WDIOC_KEEPALIVE] = errno.ENODEV
    with pytest.raises(DeviceUnavailable, match="No such device"):
        watchdog.pet()
    watchdog.close(disarm=False)


# --- it bites when health fails, and not before


def test_it_bites_when_what_must_live_is_silent_and_not_before() -> None:
    clock = SimulatedClock()
    fake = FakeDevice(clock.host_s)
    watchdog = LinuxWatchdog(Path("/dev/watchdog"), 2.0, fake)
    gate = HealthGate(EventRing(50, clock))
    gate.watch("heart", 20)
    frames = SimulatedFrames(clock, 10_000, pet_every_frames=50, max_missed=20)
    frames.start()
    petted = 0

    def fly(count: int, *, heart: bool, python: bool = True) -> None:
        nonlocal petted
        for _ in range(count):
            slot = frames.wait(20_000)
            assert slot is not None
            if heart:
                gate.check_in("heart", slot.frame)
            if python:
                frames.check_in(gate.judge(slot.frame))
            frames.done(slot.frame)
            if frames.counters().pets > petted:
                petted = frames.counters().pets
                watchdog.pet()

    fly(20_000, heart=True)
    assert fake.reset is None, "healthy for 100 times its time"
    fly(60, heart=False)
    fly(200, heart=True)
    assert fake.reset is None, "a silence that is over before its time is forgiven"
    failed_s = clock.host_s()
    fly(400, heart=False)
    assert fake.reset is not None and failed_s + 2.0 - 0.5 <= fake.reset <= failed_s + 2.0 + 0.2 + 0.5
    fly(100, heart=True)
    assert fake.reset <= failed_s + 2.7, "a reset is not taken back"


def test_it_bites_when_python_is_dead_though_frames_go_on(tmp_path: Path) -> None:
    """The frame clock in C, on a FIFO: the device counts frames, so that no load on the machine changes the verdict."""
    clock = SystemClock()
    path = tmp_path / "watchdog"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        watchdog = file_driver({"path": str(path)}, clock)
        frames = FrameClock(
            2000, realtime=False, lock_memory=False, watchdog_fd=watchdog.fileno(), pet_every_frames=4, max_missed=50
        )
        limit_frames, petted_at, reset_at = 400, 0, -1
        with frames:
            frames.start()
            healthy_until = 600
            while reset_at < 0:
                slot = frames.wait(1_000_000)
                assert slot is not None
                if slot.frame < healthy_until:
                    frames.check_in(healthy=True)
                try:
                    petted_at = slot.frame if os.read(reader, 4096) else petted_at
                except BlockingIOError:
                    reset_at = slot.frame if slot.frame - petted_at > limit_frames else -1
                frames.done(slot.frame)
                assert slot.frame < 20_000, "it never bites"
        assert reset_at > healthy_until + limit_frames - 50
        watchdog.close(disarm=True)
    finally:
        os.close(reader)


# --- systemd


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@swath-test-{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    listener.bind("\0" + address[1:] if address[0] == "@" else address)
    yield address, listener
    listener.close()


def heard(listener: socket.socket) -> list[bytes]:
    words = []
    try:
        while True:
            words.append(listener.recv(100))
    except BlockingIOError:
        return words


class TestSystemd(WatchdogConformance):
    @pytest.fixture(autouse=True)
    def make(self, manager: tuple[str, socket.socket]) -> None:
        self.address = manager[0]

    def open_watchdog(self) -> SystemdWatchdog:
        return of_environment({"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "2500000"})


def test_systemd_hears_that_it_is_ready_alive_and_stopping(manager: tuple[str, socket.socket]) -> None:
    address, listener = manager
    watchdog = of_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2500000"})
    assert watchdog.timeout_s == 2.5
    watchdog.ready()
    assert not watchdog.relay(), "no word without the frame clock's"
    for _ in range(3):
        assert os.write(watchdog.fileno(), b"\0") == 1
    assert watchdog.relay() and not watchdog.relay()
    watchdog.close(disarm=True)
    assert heard(listener) == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
    with pytest.raises(DeviceClosed):
        watchdog.relay()


def test_closed_armed_systemd_waits_for_a_word_that_never_comes(manager: tuple[str, socket.socket]) -> None:
    watchdog = SystemdWatchdog(manager[0], 1.0)
    watchdog.close(disarm=False)
    assert heard(manager[1]) == []


def test_a_manager_that_does_not_read_holds_no_frame_and_one_that_is_gone_is_told(
    manager: tuple[str, socket.socket],
) -> None:
    watchdog = SystemdWatchdog(manager[0], 1.0)
    while not watchdog.dropped:
        watchdog.pet()
    manager[1].close()
    with pytest.raises(DeviceUnavailable):
        watchdog.pet()
    with pytest.raises(DeviceUnavailable):
        watchdog.close(disarm=True)
    assert watchdog.fileno() == -1


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "NOTIFY_SOCKET is not set"),
        ({"NOTIFY_SOCKET": "/no/such/socket"}, "WATCHDOG_USEC is not set"),
        ({"NOTIFY_SOCKET": "/no/such/socket", "WATCHDOG_USEC": "5"}, "No such file"),
        ({"NOTIFY_SOCKET": "relative", "WATCHDOG_USEC": "5"}, "neither"),
        ({"NOTIFY_SOCKET": "/" + "x" * 200, "WATCHDOG_USEC": "5"}, "neither"),
        ({"NOTIFY_SOCKET": "@nobody-listens-here", "WATCHDOG_USEC": "5"}, "refused"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, "WATCHDOG_USEC is '0'"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "-1"}, "WATCHDOG_USEC is"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "9" * 30}, "WATCHDOG_USEC is"),
    ],
)
def test_an_environment_that_is_not_systemd_s_is_an_unavailable_device(
    environment: dict[str, str], reason: str
) -> None:
    with pytest.raises(DeviceUnavailable, match=reason):
        of_environment(environment)


# --- through the registry


def declared(kind: str) -> list[EntryPoint]:
    """As the package that offers the drivers declares them."""
    names = ("file", "linux", "systemd") if kind == "watchdog" else ()
    return [EntryPoint(name, f"hal.watchdog.{name}:driver", f"swath.hal.{kind}") for name in names]


def test_the_drivers_are_opened_by_name_through_the_registry(
    monkeypatch: pytest.MonkeyPatch, manager: tuple[str, socket.socket]
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    found = {info.name: info for info in drivers(declared) if info.kind == "watchdog"}
    assert set(found) == {"file", "linux", "systemd"}
    assert found["systemd"].reason == "not started by systemd"
    assert not hasattr(load("watchdog", "linux", declared).module, "selftest_options"), "never opened unasked"
    with pytest.raises(DriverOptions, match="missing"):
        open_device("watchdog", "linux", {}, SystemClock(), declared)
    with pytest.raises(DeviceUnavailable, match="No such file"):
        open_device("watchdog", "linux", {"path": "/no/such/watchdog"}, SystemClock(), declared)
    with pytest.raises(DeviceUnavailable, match="is no watchdog"):
        open_device("watchdog", "linux", {"path": os.devnull}, SystemClock(), declared)
    monkeypatch.setenv("NOTIFY_SOCKET", manager[0])
    watchdog = open_device("watchdog", "systemd", {"timeout_s": 3.0}, SystemClock(), declared)
    assert watchdog.timeout_s == 3.0
    watchdog.close(disarm=False)
