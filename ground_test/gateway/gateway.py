"""The gateway: station, reception and API put together from one configuration, and how it runs."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bindings.errors import SwathError
from flight.agent.keys import key_id_of, public_key, read_private_key, read_public_key, read_signing_key
from flight.config import make_clock
from flight.link.cfdp.receiver import CompletedFile
from flight.onboard import application_terms
from ground_test.gateway.api import Api, ApiServer
from ground_test.gateway.board import Board
from ground_test.gateway.config import GatewayConfig
from ground_test.gateway.errors import GatewayError
from ground_test.gateway.orders import Trust
from ground_test.gateway.reception import GroundKeys, Reception
from ground_test.gateway.station import Station
from ground_test.gateway.store import GatewayStore
from payload_models.loader import load_application

STEP_WAIT_S = 0.01
TOKEN_BYTES = 24


class KeysMissing(GatewayError, ValueError):
    """A folder of public keys holds none."""

    code = "keys_missing"
    exit_status = 2


class Gateway:
    """One ground station's worth of gateway. run() steps it until it is told to stop."""

    def __init__(
        self,
        config: GatewayConfig,
        folder: Path,
        random_bytes: Callable[[int], bytes],
        log: Callable[[str], None],
        port: int | None = None,
    ) -> None:
        """folder: what the configuration's paths are relative to; port: instead of the configured one.

        Raises KeyFileInvalid, HalError, ModelError, KeysMissing or PortTaken.
        """
        keys, state = config.keys, folder / config.state_dir
        self._log = log
        self._clock = make_clock(config.clock)
        applications = {name: load_application(name, check_graphs=False) for name in config.applications}
        trust = Trust(
            mission=_public_keys(folder / keys.mission),
            satellite_set=config.satellite_set,
            applications={name: application_terms(each) for name, each in applications.items()},
        )
        ground = GroundKeys(
            ground=read_signing_key(folder / keys.ground),
            reading=X25519PrivateKey.from_private_bytes(read_private_key(folder / keys.reading)),
            satellites=_public_keys(folder / keys.satellites),
        )
        alert_key = read_private_key(folder / keys.alert)
        products, stac = folder / config.products_dir, folder / config.stac_dir
        self._board = Board()
        self._store = GatewayStore(state / "gateway.sqlite")
        self._reception = Reception(self._store, ground, products, stac)
        self._worker = ThreadPoolExecutor(1, "reception")  # exports take their time; the link does not wait for them
        self._station = Station(
            config, self._clock, self._store, self._board, alert_key, state / "received", self._received
        )
        manifests = {name: each.manifest for name, each in applications.items()}
        token = write_token(folder / config.token_file, random_bytes)
        folders = {"products": products, "stac": stac}
        api = Api(self._store, self._board, trust, manifests, self._clock, token, folders, config.station)
        self._server = ApiServer(api, config.port if port is None else port)

    @property
    def url(self) -> str:
        """Where the API answers."""
        return self._server.url

    def step(self) -> None:
        """One round of the station."""
        self._station.step(STEP_WAIT_S)

    def run(self, stopped: Callable[[], bool]) -> None:
        while not stopped():
            self.step()

    def close(self) -> None:
        """What is being received is finished first."""
        self._server.close()
        self._station.close()
        self._worker.shutdown(wait=True)
        self._store.close()

    def _received(self, file: CompletedFile, mission_s: float, host_s: float) -> None:
        self._worker.submit(self._reception.take, file.name, Path(file.path), mission_s, host_s).add_done_callback(
            lambda done: self._told(file.name, done)
        )

    def _told(self, name: str, done: Future[str]) -> None:
        """What went wrong with a file is shown; the file stays, and is looked at again after a restart."""
        try:
            self._log(f"received {done.result()}")
            self._board.count("products")
        except SwathError as error:
            self._board.refuse("product", error)
            self._log(f"{name}: {error}")
        except (OSError, sqlite3.Error) as error:
            self._board.count("product_failed")
            self._log(f"{name}: {error}")


def run_gateway(
    config: GatewayConfig, folder: Path, log: Callable[[str], None], port: int | None, ready: Callable[[str], None]
) -> None:
    """Run until SIGTERM or SIGINT. ready(url): the API answers."""
    stopped: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopped.append(number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    gateway = Gateway(config, folder, os.urandom, log, port)
    try:
        ready(gateway.url)
        gateway.run(lambda: bool(stopped))
    finally:
        gateway.close()
        for number, handler in previous.items():
            signal.signal(number, handler)


def write_token(path: Path, random_bytes: Callable[[int], bytes]) -> str:
    """The bearer token, made on first use; readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        token = random_bytes(TOKEN_BYTES).hex()
        stream.write(token + "\n")
    return token


def _public_keys(folder: Path) -> dict[bytes, Ed25519PublicKey]:
    keys = {}
    for path in sorted(folder.glob("*.pub")):
        octets = read_public_key(path)
        keys[key_id_of(octets)] = public_key(octets)
    if not keys:
        raise KeysMissing(f"{folder}: no public key (*.pub) in it")
    return keys
