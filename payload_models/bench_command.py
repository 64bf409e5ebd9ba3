"""`swath models bench`: what an application costs on this board, and which form of its graphs is commissioned here."""

from __future__ import annotations

import argparse
import hashlib
import statistics
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hal.clock import SystemClock
from hal.command_line import CommandResult
from hal.toml_records import load_record
from payload_models.errors import FrameIncomplete
from payload_models.graph_rules import GraphLimits
from payload_models.loader import Application, load_application
from payload_models.measuring import Frame, Measurement, measure, utilisation
from payload_models.runtime.commissioning import (
    CommissioningRecord,
    Measured,
    Prepared,
    VariantRecord,
    choose,
    prepared_path,
    read_key,
    refused_forms,
    whole_write,
    write_record,
)
from payload_models.runtime.policy import InferencePolicy, InferenceTable, policy_of, this_machine
from payload_models.runtime.probe import RuntimeFound, probe
from payload_models.runtime.providers import requested

MAX_RUNS = 100_000
LOADS = 7  # times that a session is made of each kind


def add_arguments(bench: argparse.ArgumentParser) -> None:
    """The options of `bench`."""
    bench.add_argument("--runs", type=_runs, default=30, metavar="N", help="tiles to run per graph (default 30)")
    bench.add_argument("--inference", type=Path, metavar="FILE", help="the session policy, as the table [inference]")
    bench.add_argument("--threads", type=_threads, metavar="N,N", help="thread counts to try (default: the policy's)")
    bench.add_argument("--frame", type=_columns, metavar="COLUMNS", help="pixels of a line, with --lines-per-second")
    bench.add_argument("--lines-per-second", type=_rate, metavar="L", help="does inference keep up with the sensor?")
    bench.add_argument("--commission", type=Path, metavar="DIR", help="record the choice and prepare its graphs there")
    bench.add_argument("--key", type=Path, metavar="FILE", help="32 octets that seal the record (mode 600)")


def bench(arguments: argparse.Namespace) -> CommandResult:
    """Measure, tell, and with --commission decide."""
    if (arguments.frame is None) != (arguments.lines_per_second is None):
        raise FrameIncomplete
    table = load_record(arguments.inference, InferenceTable) if arguments.inference is not None else InferenceTable()
    policy = policy_of(table, this_machine())
    found = probe()
    requested(policy, found.providers)
    application = load_application(
        arguments.application, check_graphs=True, limits=GraphLimits(peak_bytes=policy.memory_mb << 20)
    )
    frame = None
    if arguments.frame is not None:
        frame = Frame(arguments.frame, arguments.lines_per_second)
    by_threads = {
        threads: [
            measure(application, variant, _with_threads(policy, threads), runs=arguments.runs)
            for variant in range(len(application.variants))
        ]
        for threads in arguments.threads or (policy.threads,)
    }
    measured = next(iter(by_threads.values()))
    choices = [_choice(forms) for forms in measured]
    data: dict[str, Any] = {
        "application": application.name,
        "policy": policy.record(),
        "runtime": {"version": found.version, "providers": list(found.providers)},
        "variants": [
            {**asdict(entry), **_fit(application, frame, entry)}
            for variants in by_threads.values()
            for forms in variants
            for entry in forms
        ],
        "choice": choices,
        "commissioned": None,
    }
    lines = _table(data, found)
    if arguments.commission is not None:
        data["commissioned"] = _commission(application, policy, measured, arguments.commission, arguments.key)
        lines += _told(data["commissioned"])
    return CommandResult(data, "\n".join(lines))


def _with_threads(policy: InferencePolicy, threads: int) -> InferencePolicy:
    return replace(policy, threads=threads)


def _fit(application: Application, frame: Frame | None, entry: Measurement) -> dict[str, Any]:
    if frame is None:
        return {"utilisation": None, "fits": None}
    busy = utilisation(application, frame, entry)
    return {"utilisation": busy, "fits": busy <= 1}


def _measured(forms: list[Measurement]) -> tuple[Measured, ...]:
    return tuple(
        Measured(precision=entry.precision, median_ms=entry.median_ms, over_float=entry.over_float)  # type: ignore[arg-type]
        for entry in forms
    )


def _choice(forms: list[Measurement]) -> dict[str, Any]:
    """What is chosen, and why each other form is not."""
    chosen = choose(_measured(forms))
    refused = {name: why.name.lower() for name, why in refused_forms(_measured(forms), chosen).items()}
    return {"variant": forms[0].variant, "precision": chosen, "refused": refused}


def _commission(
    application: Application,
    policy: InferencePolicy,
    measured: list[list[Measurement]],
    folder: Path,
    key_file: Path | None,
) -> dict[str, Any]:
    """Prepare the chosen graphs, and record what was found. Raises CommissioningInvalid, GraphRejected."""
    from payload_models.runtime.prepared import build_engine, key_of, optimise

    key = read_key(key_file) if key_file is not None else None
    side = application.manifest.input.tile
    variants, loads = [], []
    for number, (entry, forms) in enumerate(zip(application.variants, measured, strict=True)):
        chosen = choose(_measured(forms))
        form = entry.form(chosen)
        model = application.model_bytes(number, form)
        graphs = [("cpu", optimise(model, policy, side))]
        if "tensorrt" in policy.providers:
            graphs.append(("tensorrt", build_engine(model, policy, side)))
        prepared = []
        for provider, octets in graphs:
            made = Prepared(
                sha256=hashlib.sha256(octets).hexdigest(),
                key=key_of(entry.forms[form].sha256, provider, side),  # type: ignore[arg-type]
            )
            whole_write(prepared_path(folder, made), octets)
            prepared.append(made)
        variants.append(
            VariantRecord(
                precision=chosen,
                model_sha256=entry.forms[form].sha256,
                float_sha256=entry.sha256,
                measured=_measured(forms),
                prepared=tuple(prepared),
            )
        )
        loads.append(_loads(application, number, form, policy, model, graphs[0][1]))
    record = CommissioningRecord(
        application=application.name, version=application.manifest.version, variants=tuple(variants)
    )
    path = write_record(folder, record, key)
    return {
        "record": str(path.resolve()),
        "sealed": "hmac-sha256" if key is not None else "sha256",
        "variants": [
            {
                "variant": number,
                "precision": entry.precision,
                "prepared": [made.key.provider for made in entry.prepared],
                **load,
            }
            for number, (entry, load) in enumerate(zip(variants, loads, strict=True))
        ],
    }


def _loads(
    application: Application, variant: int, form: int, policy: InferencePolicy, model: bytes, optimised: bytes
) -> dict[str, float]:
    """Milliseconds to make a session: of the graph, and of what was prepared, in turns; medians."""
    from payload_models.runtime.session import OnnxSession

    clock, entry = SystemClock(), application.manifest.variant[variant]
    on_processor = replace(policy, providers=("cpu",))

    def seconds(octets: bytes, *, ready: bool) -> float:
        began_s = clock.host_s()
        OnnxSession(
            octets,
            bands=len(entry.bands),
            classes=application.manifest.planes,
            side=application.manifest.input.tile,
            policy=on_processor,
            quantisation=entry.forms[form].quantisation,
            optimised=ready,
        )
        return clock.host_s() - began_s

    pairs = [(seconds(model, ready=False), seconds(optimised, ready=True)) for _ in range(LOADS)]
    return {
        "load_ms": 1e3 * statistics.median(pair[0] for pair in pairs),
        "load_prepared_ms": 1e3 * statistics.median(pair[1] for pair in pairs),
        "load_over_prepared": statistics.median(pair[0] / max(pair[1], 1e-9) for pair in pairs),
    }


def _table(data: dict[str, Any], found: RuntimeFound) -> list[str]:
    policy = data["policy"]
    lines = [
        f"ONNX Runtime {found.version}; {policy['target']}: {', '.join(policy['providers'])}",
        (
            f"{'model':<20} {'form':<5} {'thr':>3} {'median':>10} {'10..90 %':>14} "
            f"{'tiles/s':>8} {'peak':>7} {'/float':>6}"
        ),
    ]
    for entry in data["variants"]:
        spread = f"{entry['p10_ms']:.2f}..{entry['p90_ms']:.2f}"
        fit = ""
        if entry["fits"] is not None:
            fit = f"  {'fits' if entry['fits'] else 'FALLS BEHIND'}, busy {100 * entry['utilisation']:.0f} %"
        lines.append(
            f"{entry['model']:<20} {entry['precision']:<5} {entry['threads']:>3} {entry['median_ms']:>7.2f} ms "
            f"{spread:>14} {entry['tiles_per_s']:>8.1f} {entry['peak_rss_mb']:>4.0f} MB "
            f"{entry['over_float']:>6.2f}{fit}"
        )
    for choice in data["choice"]:
        for precision, reason in choice["refused"].items():
            lines.append(f"variant {choice['variant']}: {precision} refused: {reason.replace('_', ' ')}")
    return lines


def _told(made: dict[str, Any]) -> list[str]:
    lines = [f"commissioned: {made['record']} ({made['sealed']})"]
    lines += [
        f"  variant {entry['variant']}: {entry['precision']}; a session in {entry['load_prepared_ms']:.2f} ms, "
        f"{entry['load_over_prepared']:.1f} times as fast as from the graph"
        for entry in made["variants"]
    ]
    return lines


def _bounded(kind: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{low:g} to {high:g}")
        return value

    return parse


_runs = _bounded(int, 1, MAX_RUNS)
_columns = _bounded(int, 1, 1 << 20)
_rate = _bounded(float, 1e-3, 1e6)


def _threads(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if len(counts) > 8 or not all(1 <= count <= 64 for count in counts):
        raise argparse.ArgumentTypeError("up to 8 counts of 1 to 64")
    return counts
