"""`swath doctor`: what this computer offers to flight software, and what would make it better."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flight.pipeline.inference import setup_of
from hal.clock import Clock
from payload_models.runtime.errors import CommissioningInvalid, ProviderMissing, RuntimeUnusable
from payload_models.runtime.policy import InferencePolicy, InferenceTable, policy_of, this_machine
from payload_models.runtime.probe import RuntimeFound, probe
from payload_models.runtime.providers import requested

LOW_SPACE_BYTES = 1 << 30
SLOW_SYNC_S = 0.05
FINE_RESOLUTION_S = 1e-6


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. advice: empty when it is well."""

    name: str
    ok: bool
    found: str
    advice: str


def examine(
    clock: Clock,
    folder: Path,
    root: Path = Path("/"),
    table: InferenceTable | None = None,
    base: Path = Path(),
) -> list[Check]:
    """Look at the computer. folder: where the mission would write; root: the file system of devices and sensors.

    table: the configuration's `[inference]`, its paths relative to `base`; None: none.
    """
    table = table or InferenceTable()
    found: RuntimeFound | RuntimeUnusable
    try:
        found = probe()
    except RuntimeUnusable as error:
        found = error
    return [
        _cores(),
        _real_time(),
        _memory_lock(),
        _providers(found),
        _inference(found, policy_of(table, this_machine(root))),
        _precision(table, base),
        _clock_resolution(),
        _watchdog(root / "dev" / "watchdog"),
        _storage(folder, clock),
        _thermal(root / "sys" / "class" / "thermal"),
    ]


def _cores() -> Check:
    cores = len(os.sched_getaffinity(0))
    return Check("cores", cores >= 2, f"{cores}", "" if cores >= 2 else "with two, inference leaves one to the cycle")


def _real_time() -> Check:
    def attempt() -> None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

    allowed = _in_child(attempt)
    advice = "" if allowed else "give the process CAP_SYS_NICE, or LimitRTPRIO=90 in its unit"
    return Check("real_time", allowed, "SCHED_FIFO granted" if allowed else "SCHED_FIFO refused", advice)


def _in_child(attempt: Callable[[], None]) -> bool:
    """Whether `attempt` works, tried in a child so that this process is left as it is."""
    child = os.fork()
    if child == 0:
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _memory_lock() -> Check:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    unlimited = soft == resource.RLIM_INFINITY or os.geteuid() == 0
    found = "unlimited" if unlimited else f"{soft >> 10} KiB"
    return Check("memory_lock", unlimited, found, "" if unlimited else "set LimitMEMLOCK=infinity in the unit")


def _providers(found: RuntimeFound | RuntimeUnusable) -> Check:
    """Probed in a child: a wheel built for another processor dies with an illegal instruction (known on Pi 4)."""
    if isinstance(found, RuntimeUnusable):
        return Check("providers", False, found.reason, found.advice)
    return Check("providers", True, f"{found.version} {','.join(found.providers)}", "")


def _inference(found: RuntimeFound | RuntimeUnusable, policy: InferencePolicy) -> Check:
    """The session policy, and whether this build has what it names."""
    said = (
        f"{policy.target}: {', '.join(policy.providers)}; {policy.threads} thread(s), arena "
        f"{'on' if policy.arena else 'off'}, {'' if policy.deterministic else 'not '}deterministic, "
        f"{policy.tile_limit_s:g} s a tile, {policy.memory_mb} MB"
    )
    if isinstance(found, RuntimeUnusable):
        return Check("inference", False, said, "no graph can be run")
    try:
        requested(policy, found.providers)
    except ProviderMissing as error:
        return Check("inference", False, said, f"`{error.provider}` is configured and not there: nothing will be run")
    return Check("inference", True, said, "")


def _precision(table: InferenceTable, base: Path) -> Check:
    """Which form of each application's graphs is run here."""
    if table.precision == "float":
        return Check("precision", True, "float, as configured", "")
    if not table.commissioned:
        advice = "`swath models bench APP --commission DIR` says what is faster here"
        return Check("precision", True, "float: nothing is commissioned", advice)
    try:
        setup = setup_of(table, base)
    except CommissioningInvalid as error:
        return Check("precision", False, "float: the record does not hold", str(error))
    records = setup.commissioned.records if setup.commissioned is not None else ()
    found = [f"{record.application} {'/'.join(entry.precision for entry in record.variants)}" for record in records]
    return Check("precision", bool(found), "; ".join(found) or "float: no record", "")


def _clock_resolution() -> Check:
    resolution_s = time.clock_getres(time.CLOCK_MONOTONIC)
    fine = resolution_s <= FINE_RESOLUTION_S
    advice = "" if fine else "enable high-resolution timers in the kernel"
    return Check("clock", fine, f"CLOCK_MONOTONIC, {resolution_s * 1e9:.0f} ns", advice)


def _watchdog(device: Path) -> Check:
    there = device.is_char_device()
    usable = there and os.access(device, os.W_OK)
    found = f"{device}" if usable else f"{device} not writable" if there else "no device"
    advice = "" if usable else "load the board's watchdog driver (softdog on a bench), or name another device"
    return Check("watchdog", usable, found, advice)


def _storage(folder: Path, clock: Clock) -> Check:
    free_bytes = shutil.disk_usage(folder).free
    with tempfile.TemporaryFile(dir=folder) as stream:
        stream.write(bytes(4096))
        stream.flush()
        began_s = clock.host_s()
        os.fsync(stream.fileno())
        sync_s = clock.host_s() - began_s
    found = f"{free_bytes / 2**30:.1f} GiB free, fsync {sync_s * 1e3:.1f} ms"
    if free_bytes < LOW_SPACE_BYTES:
        return Check("storage", False, found, "free some space: strips and products need it")
    slow = sync_s > SLOW_SYNC_S
    return Check("storage", not slow, found, "slow medium: products become durable later" if slow else "")


def _thermal(folder: Path) -> Check:
    degrees: list[tuple[float, str]] = []
    for zone in sorted(folder.glob("thermal_zone*")):
        try:
            value = int((zone / "temp").read_text()) / 1000
            degrees.append((value, (zone / "type").read_text().strip()))
        except (OSError, ValueError):
            continue  # a zone without a reading says nothing
    if not degrees:
        return Check("thermal", False, "no sensor", "heat cannot be watched on this computer")
    hottest, name = max(degrees)
    hot = hottest >= 85.0
    return Check("thermal", not hot, f"{hottest:.0f} C ({name})", "cool it: clocks will be throttled" if hot else "")


def as_text(checks: Sequence[Check]) -> str:
    """One line a check."""
    lines = [f"{'ok' if check.ok else '--':<3}{check.name:<12} {check.found}" for check in checks]
    return "\n".join(
        f"{line}\n                 {check.advice}" if check.advice else line
        for line, check in zip(lines, checks, strict=True)
    )
