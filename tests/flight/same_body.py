"""One scene through one application with a checkpoint, in a process that may be killed and started again.

    python -m tests.flight.same_body SCENE APPLICATION FOLDER MODE THREADS KILL_AFTER

MODE is serial or overlapped. The process kills itself (SIGKILL) after KILL_AFTER further tiles, 0: never; it prints a
line a tile. FOLDER keeps the checkpoint, and FOLDER/body the product's body once the scene is done.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from flight.pipeline.answer import STRIP_ROWS, engine_setup, plan_input, product_header
from flight.pipeline.checkpoint import Checkpoint
from flight.pipeline.engine import Engine, Flow, Step
from flight.pipeline.flow import FlowMode
from flight.pipeline.run import NOT_A_JOB, NOT_SCANNED_HZ, coverage_of
from flight.pipeline.scene_source import SceneSource
from flight.pipeline.sensor_description import describe_lines
from flight.product.assembler import ProductAssembler
from hal.clock import SystemClock
from hal.sensor.protocol import SensorFormat
from hal.sensor.scene import open_scene
from payload_models.loader import load_application
from payload_models.runtime.policy import DEFAULT_POLICY
from payload_models.runtime.session import OnnxSession

MODES = {"serial": FlowMode.SERIAL, "overlapped": FlowMode.OVERLAPPED}


def body_of(
    scene_path: Path, name: str, folder: Path, *, mode: str = "serial", threads: int = 1, kill_after: int = 0
) -> bytes:
    """The body, from where the checkpoint in `folder` stands."""
    application = load_application(name, check_graphs=False)
    parameters = application.manifest.parameters({})
    with open_scene(scene_path) as scene:
        info = scene.info
        form = SensorFormat(info.width, len(info.bands), info.dtype, NOT_SCANNED_HZ, lines=info.height)
        meta = describe_lines(info, form)
        plan = plan_input(application, meta)
        setup = engine_setup(application, plan, meta, parameters, ())
        session = OnnxSession(
            application.model_bytes(plan.variant),
            bands=len(plan.band_indices),
            classes=application.manifest.planes,
            policy=replace(DEFAULT_POLICY, threads=threads),
        )
        checkpoint = Checkpoint(folder / "work", setup.digest(), info.width)
        flow = Flow(cores=2, mode=MODES[mode])
        with Engine(
            setup, SceneSource(scene), session, lambda first, rows: None, SystemClock().host_s, checkpoint, flow
        ) as engine:
            tiles = 0
            while engine.step() != Step.FINISHED:
                tiles += 1
                print(tiles, flush=True)
                if tiles == kill_after:
                    os.kill(os.getpid(), signal.SIGKILL)
        header = product_header(
            application, plan, meta, parameters, job_id=NOT_A_JOB, capture_id=bytes(16), start_s=0.0,
            height=info.height, sigma_m=0.0,
        )  # fmt: skip
        assembler = ProductAssembler(header, outlined=True)
        for first in range(0, info.height, STRIP_ROWS):
            assembler.add(first, checkpoint.class_rows(first, min(STRIP_ROWS, info.height - first)))
        checkpoint.close()
        return assembler.finish(coverage_of(engine.progress, info.height, 0), engine.progress.confidence)


if __name__ == "__main__":
    scene_word, application_word, folder_word, mode_word, threads_word, kill_word = sys.argv[1:]
    body = body_of(
        Path(scene_word), application_word, Path(folder_word),
        mode=mode_word, threads=int(threads_word), kill_after=int(kill_word),
    )  # fmt: skip
    (Path(folder_word) / "body").write_bytes(body)
