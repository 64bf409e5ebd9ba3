"""Parameter tables by command: loaded, validated, activated together at a frame boundary, dumped, returned to.

An activation is kept by the critical store first and takes effect at the first frame boundary after that. What was
staged is not staged after a restart: only what was kept is flown again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bindings.crc import crc32c
from flight.services import parameter_component as told
from flight.services.command_slot import Handler
from flight.services.critical_desk import CriticalDesk
from flight.services.events import EventRing
from flight.services.parameter_table import ParameterTable, Refusal, TableRefused, Values
from flight.services.parameters import Activation, ImageChoice, Origin, ParameterTables
from flight.services.telemetry import TelemetryPacket

Consumer = Callable[[Values], None]  # reads the numbers of its table; called between two frames


class ParameterDesk:
    """The tables, who reads them, and what the ground may do with them."""

    def __init__(
        self,
        tables: Mapping[ParameterTable, Consumer],
        store: CriticalDesk,
        events: EventRing,
        *,
        defaults: bool = False,
    ) -> None:
        """Each consumer reads its table before the first frame. defaults: what is kept is not flown (golden)."""
        self._consumers = {table.number: consumer for table, consumer in tables.items()}
        self._declared = {table.number: table for table in tables}
        self._tables, self._store, self._events = ParameterTables(tuple(tables)), store, events
        self._begun = False  # loads that the journal repeats are left out
        self._returning = False
        self.pending = False
        self.activations = self.refused = self.not_kept = self.not_restored = 0
        if not defaults:
            self._restore()
        for number, consumer in self._consumers.items():
            consumer(self._tables.values(number))
        self._crc = self._crc_of_all()

    @property
    def tables(self) -> ParameterTables:
        """The tables themselves, for reading."""
        return self._tables

    def boundary(self) -> None:
        """Between two frames: what was kept takes effect, for all its tables at once."""
        self._begun = True
        if not self.pending:
            return
        done = self._tables.frame_boundary()
        if not done:
            return
        self.pending = False
        for number in done:
            self._consumers[number](self._tables.values(number))
            self.activations += 1
            crc = crc32c(self._tables.dump(number))
            self._events.emit(told.TABLE_ACTIVATED, table=number, crc=crc, returned=int(self._returning))
        self._crc = self._crc_of_all()

    def load(self, octets: bytes) -> None:
        """Stage an image. Raises TableRefused, which is told."""
        if self._begun:
            self._telling(lambda: self._events.emit(told.TABLE_LOADED, table=self._tables.load(octets)))

    def handlers(self) -> Mapping[int, Handler]:
        """Opcode -> what does it. What the tables refuse is told and goes up: the slot tells that it failed."""

        def validate(values: Mapping[str, int | float]) -> None:
            self._tables.validate(int(values["table"]))
            self._events.emit(told.TABLE_VALIDATED, table=int(values["table"]))

        def activate(values: Mapping[str, int | float]) -> bool:
            return self._begin(self._tables.activate(_numbers(int(values["tables"]))), returning=False)

        def go_back(values: Mapping[str, int | float]) -> bool:
            return self._begin(self._tables.return_to_previous(_numbers(int(values["tables"]))), returning=True)

        def handler(act: Callable[[Mapping[str, int | float]], bool | None]) -> Handler:
            def handle(values: Mapping[str, int | float]) -> bool:
                return self._telling(lambda: act(values)) is not False

            return handle

        return {
            told.PARAMETER_VALIDATE.opcode: handler(validate),
            told.PARAMETER_ACTIVATE.opcode: handler(activate),
            told.PARAMETER_RETURN.opcode: handler(go_back),
            told.PARAMETER_DUMP.opcode: handler(self._dump),
            told.PARAMETER_CRC.opcode: handler(self._tell_crc),
        }

    def telemetry(self, now_s: float) -> TelemetryPacket:
        """The component's numbers at mission time `now_s`."""
        return TelemetryPacket.of(
            told.PARAMETERS,
            now_s,
            tables=len(self._consumers),
            pending=int(self.pending),
            activations=self.activations,
            refused=self.refused,
            not_kept=self.not_kept,
            not_restored=self.not_restored,
            crc=self._crc,
        )

    def _restore(self) -> None:
        for each in self._tables.restore(self._store.read):
            if each.origin is not Origin.STORED:
                self.not_restored += 1
                reason = each.refusal or 0
                self._events.emit(told.TABLE_RESTORED, table=each.table, origin=each.origin, reason=reason)

    def _begin(self, activation: Activation, *, returning: bool) -> bool:
        def done(kept: bool) -> None:
            if kept:
                self._tables.durable(activation)
            else:
                self._give_up(activation)

        self.pending, self._returning = True, returning
        if self._store.commit(activation.blocks, done):
            return True
        self._give_up(activation)
        return False

    def _give_up(self, activation: Activation) -> None:
        self._tables.abandon(activation)
        self.pending = False
        self.not_kept += 1
        mask = sum(1 << (number - 1) for number in activation.tables)
        self._events.emit(told.ACTIVATION_GIVEN_UP, tables=mask)

    def _dump(self, values: Mapping[str, int | float]) -> None:
        """One event per number, in declared order, then the CRC over the image."""
        number, choice = int(values["table"]), _choice(values)
        image = self._tables.numbers(number, choice)
        for index, value in enumerate(image.values(), 1):
            self._events.emit(told.TABLE_VALUE, table=number, image=choice, parameter=index, value=value)
        self._tell_crc(values)

    def _tell_crc(self, values: Mapping[str, int | float]) -> None:
        number, choice = int(values["table"]), _choice(values)
        crc, declaration = crc32c(self._tables.dump(number, choice)), self._declared[number].declaration_crc
        self._events.emit(told.TABLE_CRC, table=number, image=choice, crc=crc, declaration=declaration)

    def _telling(self, act: Callable[[], bool | None]) -> bool | None:
        try:
            return act()
        except TableRefused as refused:
            self.refused += 1
            self._events.emit(
                told.TABLE_REFUSED,
                table=refused.table,
                reason=refused.reason,
                parameter=refused.parameter,
                value=refused.value,
            )
            raise

    def _crc_of_all(self) -> int:
        return crc32c(b"".join(self._tables.dump(number) for number in sorted(self._consumers)))


def _numbers(mask: int) -> list[int]:
    return [bit + 1 for bit in range(64) if mask >> bit & 1]


def _choice(values: Mapping[str, int | float]) -> ImageChoice:
    number, image = int(values["table"]), int(values["image"])
    if image not in tuple(ImageChoice):
        raise TableRefused(Refusal.NO_SUCH_IMAGE, number)
    return ImageChoice(image)
