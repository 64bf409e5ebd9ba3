"""Who reads the parameter tables: each between two frames, after its table was kept by the critical store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from flight.agent.core import AgentCore
from flight.executive.health_contact import ContactAction, ContactRule, ContactTimer
from flight.services.critical_client import CriticalClient
from flight.services.parameter_desk import Consumer
from flight.services.parameter_table import ParameterTable, Values


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is tuned, and where it is kept."""

    tables: tuple[ParameterTable, ...]
    client: CriticalClient | None  # None: nothing is kept, and nothing can be activated
    host_s: Callable[[], float]
    consumers: Mapping[str, Consumer] = field(default_factory=dict)  # table name -> who reads it
    defaults: bool = False  # fly the defaults whatever is kept: a table may be what ended earlier flights


def tune_agent(agent: AgentCore) -> Consumer:
    """What the agent goes by from its next input on."""

    def consume(values: Values) -> None:
        agent.retune(
            min_state_of_charge=float(values["minimum_charge"]),
            max_captures=int(values["max_captures"]),
            max_inferences=int(values["max_inferences"]),
            max_transfers=int(values["max_transfers"]),
        )

    return consume


def tune_contact(timer: ContactTimer) -> Consumer:
    """After how long without the ground what is done."""

    def consume(values: Values) -> None:
        gaps = (values["radio_reset_s"], values["safe_mode_s"], values["second_reset_s"])
        actions = (ContactAction.RADIO_RESET, ContactAction.SAFE_MODE, ContactAction.RADIO_RESET)
        steps = tuple(zip(map(float, accumulate(gaps)), actions, strict=True))
        timer.retune(ContactRule(steps, float(values["repeat_s"])))

    return consume
