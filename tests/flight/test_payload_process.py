"""Real camera and payload processes under a scripted flight side, over real imagery: killed, restarted, lied to."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest

from flight.pipeline.answer_slots import AnswerGeometry, AnswerReader, create_answer_memory
from flight.pipeline.control import (
    CameraReport,
    CaptureOrder,
    ForgetOrder,
    IdleOrder,
    InferOrder,
    PayloadReport,
    ReleaseOrder,
    Unregistered,
)
from flight.pipeline.control_sockets import ControlServer
from flight.pipeline.process_errors import AnswerStale
from flight.pipeline.shared_memory import read_only
from flight.pipeline.strip_buffer import create_strip_memory
from hal.sensor.scene import open_scene
from payload_models.loader import applications, load_application
from payload_models.runtime.codes import ProviderCode

ROOT = Path(__file__).resolve().parents[2]
SCENE = ROOT / "examples" / "scenes" / "landsat7_great_salt_lake_7band.tif"
STRIP_ROWS = 64
CAPTURE, JOB = b"c" * 16, bytes(range(32))
LINE_RATE_HZ = 20_000.0

needs_scene = pytest.mark.skipif(not SCENE.is_file(), reason="the sample scene is not here")


@dataclass
class FlightSide:
    """What the supervisor and the flight process do, scripted: memory, children, orders, taking strips."""

    folder: Path
    scene: Path = SCENE
    line_rate_hz: float = LINE_RATE_HZ
    application: str = "water"
    ring_bytes: int = 1 << 18
    payload_extra: tuple[str, ...] = ()
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    stale: int = 0
    parent: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.strip_fd = create_strip_memory(self.ring_bytes)
        self.answer_fd = create_answer_memory(4, 1 << 17)
        self.reader_fd = read_only(self.strip_fd)
        self.clock = json.dumps({"epoch_mission_s": 1000.0, "epoch_host_s": time.monotonic(), "speed": 1.0})
        self.camera_report: CameraReport | None = None
        self.payload_report: PayloadReport | None = None
        self.camera: subprocess.Popen[bytes] | None = None
        self.payload: subprocess.Popen[bytes] | None = None
        self.bind()

    def bind(self) -> None:
        self.cameras = ControlServer(f"ipc://{self.folder}/camera", CameraReport)
        self.payloads = ControlServer(f"ipc://{self.folder}/payload", PayloadReport)
        self.slots = AnswerReader(self.answer_fd)

    def unbind(self) -> None:
        self.cameras.close()
        self.payloads.close()
        self.slots.close()

    def start_as(self, process: str, parent: int) -> None:
        self.parent = parent
        self.start_camera() if process == "camera" else self.start_payload()

    def start_camera(self) -> None:
        sensor = {"driver": "file", "options": {"path": str(self.scene), "line_rate_hz": self.line_rate_hz}}
        arguments = ["--control", f"ipc://{self.folder}/camera", "--strip-fd", str(self.strip_fd)]
        arguments += ["--store", str(self.folder / "store"), "--clock", self.clock, "--sensor", json.dumps(sensor)]
        self.camera = self._start("flight.pipeline.camera_process", arguments, self.strip_fd)

    def start_payload(self) -> None:
        arguments = ["--control", f"ipc://{self.folder}/payload", "--strip-fd", str(self.reader_fd)]
        arguments += ["--answer-fd", str(self.answer_fd), "--store", str(self.folder / "store")]
        arguments += ["--work", str(self.folder / "work"), "--clock", self.clock, *self.payload_extra]
        self.payload_report = None
        self.payload = self._start("flight.pipeline.payload_process", arguments, self.reader_fd, self.answer_fd)

    def infer(self, acked: int) -> InferOrder:
        return InferOrder(
            job=JOB,
            capture=CAPTURE,
            application=self.application,
            parameters={},
            area=(),
            acked_strips=acked,
            strip_rows=STRIP_ROWS,
        )

    def look(self) -> None:
        """One turn of the flight process: hear, order, take what is offered."""
        now_s = time.monotonic()
        for report in self.cameras.poll(now_s):
            self.camera_report = report
        for heard in self.payloads.poll(now_s):
            self.payload_report = heard
            self._take(heard)
        self.cameras.send(CaptureOrder(capture=CAPTURE, start_s=1000.0))
        self.payloads.send(self.infer(len(self.rows)))
        time.sleep(0.004)

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        end_s = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end_s, (self.camera_report, self.payload_report)
            assert self.payload is None or self.payload.poll() in (None, -signal.SIGKILL), self.payload_report
            self.look()

    @property
    def whole(self) -> bool:
        """Every strip taken, and the payload process says that it is done."""
        done = self.camera_report is not None and self.camera_report.state == "done"
        strips = -(-self.camera_report.lines // STRIP_ROWS) if done and self.camera_report is not None else None
        return strips == len(self.rows) and self.payload_report is not None and self.payload_report.state == "done"

    def reached(self, tiles: int) -> bool:
        """Whether the payload process that runs now has said that so many tiles are done, or that it has ended."""
        report = self.payload_report
        return report is not None and (report.tiles_done >= tiles or report.state in ("done", "failed"))

    def class_map(self) -> np.ndarray:
        return np.concatenate([self.rows[index] for index in range(len(self.rows))])

    def kill_payload(self) -> None:
        assert self.payload is not None
        self.payload.kill()
        self.payload.wait()

    def close(self) -> None:
        for child in (self.camera, self.payload):
            if child is not None:
                child.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(10)
                child.kill()
                child.wait()
        self.unbind()
        for descriptor in (self.strip_fd, self.answer_fd, self.reader_fd):
            os.close(descriptor)

    def _take(self, report: PayloadReport) -> None:
        camera = self.camera_report
        if camera is None or camera.meta is None:
            return
        scene_rows = camera.lines if camera.state == "done" else None
        for offer in report.strips:
            if offer.index != len(self.rows):
                continue
            geometry = AnswerGeometry(JOB, camera.meta.columns, STRIP_ROWS, scene_rows, classes=2)
            try:
                self.rows[offer.index] = self.slots.take(offer, geometry)
            except AnswerStale:
                self.stale += 1  # an offer of a killed process; the next report says it anew

    def _start(self, module: str, arguments: list[str], *descriptors: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", module, "--parent", str(self.parent), *arguments], pass_fds=descriptors, cwd=ROOT
        )


def fly_undisturbed(folder: Path, extra: tuple[str, ...] = (), ring_bytes: int = 1 << 18) -> np.ndarray:
    """The class map of one run in which nothing is killed."""
    side = FlightSide(folder, payload_extra=extra, ring_bytes=ring_bytes)
    try:
        side.start_camera()
        side.start_payload()
        side.until(lambda: side.whole)
        assert side.camera_report is not None and side.camera_report.lost == 0
        return side.class_map()
    finally:
        side.close()


def open_memory() -> int:
    """How many descriptors of anonymous shared memory this process holds."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(entry))
    return sum(link.startswith("/memfd:swath") for link in links)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The class map of one run in which nothing is killed."""
    return fly_undisturbed(tmp_path_factory.mktemp("u"))


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose path is short enough for a socket, whatever the test is called."""
    folder = tmp_path_factory.mktemp("p")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@needs_scene
def test_a_scene_goes_through_both_processes_and_every_row_comes_back(undisturbed: np.ndarray) -> None:
    with open_scene(SCENE) as scene:
        assert undisturbed.shape == (scene.info.height, scene.info.width)
    assert set(np.unique(undisturbed)) <= {0, 1, 255}
    assert 0.02 < (undisturbed == 1).mean() < 0.98


@needs_scene
def test_the_class_map_is_what_the_graph_says_of_the_whole_scene(undisturbed: np.ndarray) -> None:
    """ONNX Runtime on the whole scene at once, without any of our tiling, ring, store or slots."""
    application = load_application("water", check_graphs=False)
    with open_scene(SCENE) as scene:
        info, pixels = scene.info, scene.read_rows(0, scene.info.height)
    names = [band.common for band in info.bands]
    planes = [pixels[:, :, names.index(band.name)] for band in application.manifest.variant[0].bands]
    reflectance = np.stack(planes)[None].astype(np.float32) * np.float32(info.scale[0])
    session = onnxruntime.InferenceSession(application.model_bytes(0), providers=["CPUExecutionProvider"])
    scores = session.run(["scores"], {"pixels": np.clip(reflectance, 0, 2)})[0][0, 0]
    assert np.array_equal(undisturbed, (scores >= np.float32(0.5)).astype(np.uint8))


@pytest.fixture(scope="module")
def small_tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """`water` with overlapping tiles of 64 pixels: 441 tiles, so that a kill meets the work in the middle."""
    folder = tmp_path_factory.mktemp("a")
    shutil.copytree(applications()["water"], folder / "water")
    manifest = folder / "water" / "manifest.toml"
    text = manifest.read_text().replace("tile = 256", "tile = 64").replace("overlap = 0 ", "overlap = 16 ")
    assert "tile = 64" in text and "overlap = 16" in text
    manifest.write_text(text)
    return ("--applications", str(folder))


@pytest.fixture(scope="module")
def undisturbed_small_tiles(tmp_path_factory: pytest.TempPathFactory, small_tiles: tuple[str, ...]) -> np.ndarray:
    """Nothing is killed, and the ring holds the whole scene; in the runs with kills it holds 36 lines of it."""
    return fly_undisturbed(tmp_path_factory.mktemp("us"), small_tiles, ring_bytes=1 << 23)


@needs_scene
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_five_random_tiles_the_answer_is_the_same_to_the_byte(
    seed: int, short: Path, small_tiles: tuple[str, ...], undisturbed_small_tiles: np.ndarray
) -> None:
    draw = random.Random(seed)
    shared_before, descriptors_before = sorted(os.listdir("/dev/shm")), open_memory()
    side = FlightSide(short, payload_extra=small_tiles)
    killed_at: list[int] = []
    try:
        side.start_camera()
        while len(killed_at) < 5:
            side.start_payload()
            goal = (killed_at[-1] if killed_at else 0) + draw.randint(5, 80)
            side.until(partial(side.reached, goal))
            side.kill_payload()
            assert side.payload_report is not None
            assert side.payload_report.state == "running", "killed too late, the job was done"
            killed_at.append(side.payload_report.tiles_done)
        assert len(set(killed_at)) == 5 and killed_at == sorted(killed_at), "work was done again from the start"
        side.start_payload()
        side.until(lambda: side.whole)
        assert side.payload_report is not None and side.payload_report.tiles_done == 21 * 21
        assert np.array_equal(side.class_map(), undisturbed_small_tiles), f"seed {seed}, killed at {killed_at}"
    finally:
        side.close()
    assert sorted(os.listdir("/dev/shm")) == shared_before
    assert open_memory() == descriptors_before
    assert sorted(path.name for path in short.iterdir()) == ["store", "work"]


@needs_scene
def test_a_restarted_flight_process_gets_the_strips_again_and_the_capture_is_not_repeated(
    short: Path, undisturbed: np.ndarray
) -> None:
    side = FlightSide(short)
    try:
        side.start_camera()
        side.start_payload()
        side.until(lambda: len(side.rows) >= 2)
        first_camera = side.camera_report
        # The flight process dies: what it had not made durable is gone, and its sockets with it.
        side.unbind()
        side.rows.clear()
        side.camera_report = side.payload_report = None
        time.sleep(0.2)
        side.bind()
        side.until(lambda: side.whole)
        assert np.array_equal(side.class_map(), undisturbed)
        assert side.camera_report is not None and first_camera is not None
        assert side.camera_report.incarnation == first_camera.incarnation, "the camera process was restarted"
        # Once more after everything was done: answered from what is kept.
        side.rows.clear()
        side.until(lambda: side.whole)
        assert np.array_equal(side.class_map(), undisturbed)
    finally:
        side.close()


@needs_scene
def test_a_camera_killed_in_the_middle_goes_on_with_the_same_capture(short: Path, undisturbed: np.ndarray) -> None:
    """At a rate at which the sensor's queue outlasts the restart nothing is lost, and the answer is the same."""
    side = FlightSide(short, line_rate_hz=300.0)
    try:
        side.start_camera()
        side.start_payload()
        side.until(lambda: side.camera_report is not None and side.camera_report.lines > 100)
        assert side.camera is not None
        side.camera.kill()
        side.camera.wait()
        side.start_camera()
        side.until(lambda: side.whole)
        assert side.camera_report is not None and side.camera_report.lost == 0
        assert np.array_equal(side.class_map(), undisturbed)
    finally:
        side.close()


@needs_scene
def test_a_failed_job_is_a_reason_and_the_next_job_runs_in_the_same_process(short: Path) -> None:
    side = FlightSide(short)
    side.application = "no_such_application"
    try:
        side.start_camera()
        side.start_payload()
        side.until(lambda: side.payload_report is not None and side.payload_report.state == "failed")
        assert side.payload_report is not None
        assert side.payload_report.reason == "application_unknown"
        incarnation = side.payload_report.incarnation
        side.application = "water"
        side.until(lambda: side.whole)
        assert side.payload_report.incarnation == incarnation
    finally:
        side.close()


class RegisteringSide(FlightSide):
    """Orders bands onto the second one, once the camera has described them."""

    def infer(self, acked: int) -> InferOrder:
        meta = self.camera_report.meta if self.camera_report is not None else None
        wanted = msgspec.structs.replace(meta, register_to=1) if meta is not None else None
        return msgspec.structs.replace(super().infer(acked), meta=wanted)


def test_bands_that_show_nothing_in_common_are_taken_as_they_come_and_the_reason_is_reported(short: Path) -> None:
    noise = np.random.default_rng(3).integers(20, 220, (300, 300, 3), dtype=np.uint8)
    np.savez(short / "noise.npz", img=noise)
    (short / "noise.toml").write_text(
        'sensor = "generic"\nbands = ["red", "green", "blue"]\nradiometry = "dn8"\nscale = 0.00392156862745098\n'
    )
    side = RegisteringSide(short, scene=short / "noise.npz", application="cloud")
    try:
        side.start_camera()
        side.start_payload()
        side.until(lambda: side.whole)
        assert side.payload_report is not None
        assert side.payload_report.unregistered is Unregistered.NO_TEXTURE
        assert (side.payload_report.fallbacks, side.payload_report.provider) == ((), ProviderCode.CPU)
    finally:
        side.close()


@needs_scene
def test_a_forgotten_job_leaves_nothing_and_released_lines_are_marked(short: Path) -> None:
    side = FlightSide(short)
    try:
        side.start_camera()
        side.start_payload()
        side.until(lambda: side.whole)
        assert (short / "work" / JOB.hex()).is_dir()
        end_s = time.monotonic() + 10
        released = short / "store" / CAPTURE.hex() / "released"
        while (short / "work" / JOB.hex()).exists() or not released.exists():
            assert time.monotonic() < end_s
            side.payloads.send(IdleOrder())
            side.payloads.send(ForgetOrder(job=JOB))
            side.cameras.send(ReleaseOrder(capture=CAPTURE))
            side.payloads.poll(time.monotonic())
            side.cameras.poll(time.monotonic())
            time.sleep(0.01)
    finally:
        side.close()


@pytest.mark.parametrize("process", ["camera", "payload"])
def test_a_child_whose_supervisor_was_gone_before_it_could_look_does_not_stay(process: str, short: Path) -> None:
    side = FlightSide(short)
    try:
        side.start_as(process, parent=1 << 21)  # a process id that is nobody's
        child = side.camera or side.payload
        assert child is not None and child.wait(20) == 0
    finally:
        side.camera = side.payload = None
        side.close()


@needs_scene
def test_both_processes_end_with_their_parent_and_the_payload_process_gave_up_its_priority(short: Path) -> None:
    """A parent that is killed outright cleans nothing up: its children end by themselves."""
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[2])\n"
        "from tests.flight.test_payload_process import FlightSide\n"
        "side = FlightSide(pathlib.Path(sys.argv[1]))\n"
        "side.start_camera(); side.start_payload()\n"
        "side.until(lambda: side.camera_report is not None and side.payload_report is not None)\n"
        "print(side.camera.pid, side.payload.pid, flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(short), str(ROOT)], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert int(Path(f"/proc/{pids[1]}/stat").read_text().rsplit(")", 1)[1].split()[16]) == 19
    limits = Path(f"/proc/{pids[1]}/limits").read_text()
    assert "Max core file size        0                    0" in limits
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end_s = time.monotonic() + 5
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < end_s, "a child outlived its parent"
        time.sleep(0.02)


def test_the_payload_process_loads_no_keys_no_radio_and_no_agent() -> None:
    script = "import sys, flight.pipeline.payload_process; print(' '.join(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    modules = loaded.stdout.split()
    forbidden = ("cryptography", "flight.agent", "flight.link", "flight.product.seal", "hal.radio", "hal.isl")
    assert not [name for name in modules if name.startswith(forbidden)]


@pytest.mark.parametrize(
    "change",
    [
        {"--control": "tcp://127.0.0.1:1"},
        {"--clock": "{}"},
        {"--clock": "not json"},
        {"--strip-fd": "0"},
        {"--strip-fd": "99"},
    ],
    ids=str,
)
@pytest.mark.parametrize("process", ["camera", "payload"])
def test_a_start_argument_that_cannot_be_used_is_named_and_ends_with_status_2(
    process: str, change: dict[str, str], short: Path
) -> None:
    side = FlightSide(short)
    arguments = {"--control": f"ipc://{short}/x", "--strip-fd": str(side.strip_fd), "--store": str(short / "s")}
    arguments["--clock"] = side.clock
    if process == "camera":
        arguments["--sensor"] = '{"driver": "file", "options": {}}'
    else:
        arguments |= {"--answer-fd": str(side.answer_fd), "--work": str(short / "w")}
    listed = [text for pair in (arguments | change).items() for text in pair]
    ended = subprocess.run(
        [sys.executable, "-m", f"flight.pipeline.{process}_process", *listed],
        pass_fds=(side.strip_fd, side.answer_fd),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    side.close()
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith(process) and "Traceback" not in ended.stderr


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
