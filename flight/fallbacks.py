"""What the flight process tells of fall-backs: each once a job, however often the payload process says it.

The payload process is believed only so far: it says which of the declared reasons holds for the job that it was given.
Which application that is, this side knows. So one job makes no more events than there are reasons.
"""

from __future__ import annotations

from flight.agent.effects import Tell
from flight.pipeline.component import FELL_BACK, FORM_REFUSED, NOT_REGISTERED, PROVIDER_MISSING, RECORD_REFUSED
from flight.pipeline.control import InferOrder, PayloadReport
from flight.pipeline.inference import InferenceSetup
from flight.services.declare import Event
from payload_models.loader import application_number
from payload_models.runtime.codes import PrecisionCode
from payload_models.runtime.commissioning import refused_forms


class Fallbacks:
    """Of the job in work."""

    def __init__(self) -> None:
        self._job = b""
        self._told: set[tuple[int, int]] = set()  # (event, reason or provider)

    def hear(self, order: InferOrder, report: PayloadReport) -> tuple[Tell, ...]:
        """What a report about the ordered job says that was not told yet."""
        if order.job != self._job:
            self._job = order.job
            self._told.clear()
        about = {"job": int.from_bytes(order.job[:4], "big"), "application": application_number(order.application)}
        found: list[tuple[Event, int, dict[str, int]]] = []
        if report.provider is not None:
            provider = int(report.provider)
            found += [(FELL_BACK, why, {**about, "reason": int(why), "provider": provider}) for why in report.fallbacks]
        if report.missing is not None:
            found.append((PROVIDER_MISSING, report.missing, {**about, "provider": int(report.missing)}))
        if report.unregistered is not None:
            found.append((NOT_REGISTERED, report.unregistered, {**about, "reason": int(report.unregistered)}))
        tells = []
        for event, what, values in found:
            if (event.number, what) not in self._told:
                self._told.add((event.number, what))
                tells.append(Tell(event, tuple(values.items())))
        return tuple(tells)


def commissioning_tells(inference: InferenceSetup) -> tuple[Tell, ...]:
    """What is told once, when the flight process begins: records that do not hold, forms that were found too slow."""
    tells = [
        Tell(RECORD_REFUSED, (("application", entry.application), ("reason", int(entry.refusal))))
        for entry in inference.refused
    ]
    for record in inference.commissioned.records if inference.commissioned is not None else ():
        for number, variant in enumerate(record.variants):
            tells += [
                Tell(
                    FORM_REFUSED,
                    (
                        ("application", application_number(record.application)),
                        ("variant", number),
                        ("form", int(PrecisionCode[precision.upper()])),
                        ("reason", int(why)),
                    ),
                )
                for precision, why in refused_forms(variant.measured, variant.precision).items()
            ]
    return tuple(tells)
