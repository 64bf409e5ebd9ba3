"""Which numbers may be tuned in flight: three tables (docs/critical-store.md). Defaults are those of the configuration.

A declaration alone: the supervisor keeps these tables, and reads none of them.
"""

from __future__ import annotations

from flight.config import SatelliteConfig
from flight.services.parameter_table import Parameter, ParameterTable

HOUR_S = 3600
MONTH_S = 30 * 24 * HOUR_S
AGENT_TABLE, CONTACT_TABLE, SCRUBBING_TABLE = "agent", "contact", "scrubbing"
WEIGHTS_OCTETS = 16_384  # of weights compared in each slot


def flight_tables(config: SatelliteConfig) -> tuple[ParameterTable, ...]:
    """The tables of a satellite, by number."""
    charge = config.agent.minimum_charge
    return (
        ParameterTable(
            1,
            AGENT_TABLE,
            (
                Parameter("minimum_charge", "f64", "", 0.0, 1.0, charge),
                Parameter("max_captures", "u8", "", 1, 10, 3),
                Parameter("max_inferences", "u8", "", 1, 10, 3),
                Parameter("max_transfers", "u8", "", 1, 20, 5),
            ),
        ),
        ParameterTable(
            2,
            CONTACT_TABLE,
            (
                # each counts from the one before, so that no image can turn their order round
                Parameter("radio_reset_s", "u32", "s", HOUR_S, MONTH_S, 24 * HOUR_S),
                Parameter("safe_mode_s", "u32", "s", HOUR_S, MONTH_S, 24 * HOUR_S),
                Parameter("second_reset_s", "u32", "s", HOUR_S, MONTH_S, 24 * HOUR_S),
                Parameter("repeat_s", "u32", "s", HOUR_S, MONTH_S, 24 * HOUR_S),
            ),
        ),
        ParameterTable(
            3,
            SCRUBBING_TABLE,
            (
                Parameter("weights_octets", "u16", "octets", 4096, WEIGHTS_OCTETS, WEIGHTS_OCTETS),
                Parameter("store_period_s", "u16", "s", 1, HOUR_S, 10),
            ),
        ),
    )
