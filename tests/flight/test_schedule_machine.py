"""The analysis against a machine that flies the table: it accepts none that goes wrong, and its pessimism is stated.

`python -m tests.flight.test_schedule_machine` flies 10,000 tables and writes tests/flight/schedule_report.md.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flight.executive.schedule import Rule, analyse
from tests.flight.schedule_machine import faults, random_table
from tests.shared_data import ROOT

REPORT = Path(__file__).with_name("schedule_report.md")
WHOLE, SEED = 10_000, 20_261_124
TIME = {Rule.FRAME, Rule.DEADLINE, Rule.UTILISATION, Rule.CYCLE_WINDOW}  # pessimistic: the margin is never used up
CONVENTION = {Rule.PERIOD, Rule.BOUNDS, Rule.WINDOW, Rule.FRAME_SIZE}  # asked for although a table could fly without


@dataclass
class Tally:
    """What came of many tables."""

    accepted: int = 0
    confirmed: int = 0  # refused, and the machine went wrong
    pessimistic: Counter[str] = field(default_factory=Counter)  # refused, and flown: by the rules named
    wrong: list[int] = field(default_factory=list)  # accepted, and the machine went wrong: none may be
    unfounded: list[tuple[int, str]] = field(default_factory=list)  # refused by an exact rule, and flown


def tally(count: int, seed: int) -> Tally:
    found = Tally()
    for number in range(seed, seed + count):
        table = random_table(random.Random(number))
        rules = {problem.rule for problem in analyse(table).problems}
        fault = next(faults(table, number), None)
        if not rules:
            found.accepted += 1
            if fault is not None:
                found.wrong.append(number)
        elif fault is not None:
            found.confirmed += 1
        elif rules & (TIME | CONVENTION):
            found.pessimistic["+".join(sorted(rule.name for rule in rules))] += 1
        else:
            found.unfounded.append((number, "+".join(sorted(rule.name for rule in rules))))
    return found


def test_no_accepted_table_goes_wrong_and_every_exact_refusal_is_founded() -> None:
    found = tally(WHOLE // 20, SEED)
    assert found.wrong == []
    assert found.unfounded == []
    assert found.accepted > WHOLE // 200
    assert found.confirmed > WHOLE // 200
    assert sum(found.pessimistic.values()) < WHOLE // 20 * 0.2


def test_the_machine_sees_what_is_wrong_when_the_analysis_does_not_look() -> None:
    """A table that the analysis refuses for time alone goes wrong on the machine when its margin is nothing."""
    seen: Counter[str] = Counter()
    for number in range(2_000):
        seen.update({fault.kind for fault in faults(random_table(random.Random(number)), number)})
    assert set(seen) == {"slot", "job", "late", "frame", "order", "core"}


def test_the_report_is_of_the_whole_campaign_and_of_no_accepted_table_that_goes_wrong() -> None:
    text = REPORT.read_text(encoding="utf-8")
    assert f"{WHOLE:,} tables, seed {SEED}" in text
    assert re.search(r"accepted and gone wrong \| 0 \|", text)
    assert re.search(r"refused by an exact rule, and flown \| 0 \|", text)
    assert "python -m tests.flight.test_schedule_machine" in text


def main() -> int:
    """Fly them all and write the report."""
    commit = (sys.argv[1:] or ["unknown"])[0]
    found = tally(WHOLE, SEED)
    pessimistic = sum(found.pessimistic.values())
    rows = "\n".join(f"| refused by {rules}, and flown | {count} |" for rules, count in found.pessimistic.most_common())
    REPORT.write_text(
        f"""# The schedule analysis against a machine that flies the table

`python -m tests.flight.test_schedule_machine {commit}`: {WHOLE:,} tables, seed {SEED}, at commit {commit}.

| what came of them | tables |
|---|---|
| accepted, and flown without fault in every mode | {found.accepted - len(found.wrong)} |
| accepted and gone wrong | {len(found.wrong)} |
| refused, and gone wrong on the machine | {found.confirmed} |
| refused by an exact rule, and flown | {len(found.unfounded)} |
{rows}

Pessimism: {pessimistic} of {WHOLE:,} tables ({pessimistic / WHOLE:.1%}) are refused although the machine flies them.
FRAME, DEADLINE and CYCLE_WINDOW keep the margin free, which the machine never uses. PERIOD, BOUNDS and WINDOW are
conventions: a table that breaks them can happen to fly.
""",
        encoding="utf-8",
    )
    print(
        REPORT.relative_to(ROOT), found.accepted, len(found.wrong), found.confirmed, pessimistic, len(found.unfounded)
    )
    return 1 if found.wrong or found.unfounded else 0


if __name__ == "__main__":
    sys.exit(main())
