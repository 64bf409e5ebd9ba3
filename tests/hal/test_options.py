"""Driver options are read by name, with types, bounds and defaults."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from hal.options import DriverOptions, Options

pytestmark = pytest.mark.arm


def options(**values: Any) -> Options:
    return Options("radio test", values, ("number", "whole", "text", "names", "flag", "table"))


def test_what_is_given_is_read_and_what_is_not_has_its_default() -> None:
    given = options(number=3, whole=4, text="x", names=["a", "b"], flag=True, table={"k": 1})
    assert given.number("number") == 3.0 and isinstance(given.number("number"), float)
    assert (given.integer("whole"), given.text("text"), given.strings("names")) == (4, "x", ("a", "b"))
    assert given.flag("flag") is True and given.table("table") == {"k": 1} and given.has("text")
    empty = options()
    assert (empty.number("number", 1.5), empty.integer("whole", 2), empty.text("text", "d")) == (1.5, 2, "d")
    assert (empty.strings("names", ("z",)), empty.flag("flag"), empty.table("table")) == (("z",), False, {})
    assert not empty.has("text")


@pytest.mark.parametrize(
    ("values", "read", "reason"),
    [
        ({}, lambda o: o.number("number"), "missing; radio test needs it"),
        ({}, lambda o: o.text("text"), "missing"),
        ({"number": "fast"}, lambda o: o.number("number"), "needs a number, got str"),
        ({"number": True}, lambda o: o.number("number"), "needs a number, got bool"),
        ({"number": math.nan}, lambda o: o.number("number"), "outside"),
        ({"number": math.inf}, lambda o: o.number("number"), "outside"),
        ({"number": -(10**400)}, lambda o: o.number("number"), "outside"),
        ({"number": 5}, lambda o: o.number("number", maximum=4.0), "5 is outside -inf ... 4.0"),
        ({"whole": 1.0}, lambda o: o.integer("whole"), "needs a whole number, got float"),
        ({"whole": False}, lambda o: o.integer("whole"), "got bool"),
        ({"whole": 2**60}, lambda o: o.integer("whole"), "outside"),
        ({"whole": 0}, lambda o: o.integer("whole", minimum=1), "0 is outside 1"),
        ({"text": 5}, lambda o: o.text("text"), "needs a string, got int"),
        ({"text": "x" * 5000}, lambda o: o.text("text"), "at most 4096 characters"),
        ({"names": "abc"}, lambda o: o.strings("names"), "needs a list of strings"),
        ({"names": ["a", 1]}, lambda o: o.strings("names"), "needs a list of strings"),
        ({"flag": 1}, lambda o: o.flag("flag"), "needs true or false, got int"),
        ({"table": [1]}, lambda o: o.table("table"), "needs a table, got list"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name_and_reason(
    values: dict[str, Any], read: Callable[[Options], object], reason: str
) -> None:
    with pytest.raises(DriverOptions) as refused:
        read(options(**values))
    assert reason in str(refused.value)
    assert refused.value.option in (*values, "number", "text")
    assert refused.value.exit_status == 2


def test_an_unknown_option_is_refused_at_once_with_the_nearest_name() -> None:
    with pytest.raises(DriverOptions, match="did you mean `number`"):
        options(nubmer=1)
    with pytest.raises(DriverOptions, match="known: flag, names, number"):
        options(zzz=1)
