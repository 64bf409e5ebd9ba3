"""Configuration errors name file and line, show the line and suggest the nearest name: a table of typos."""

from __future__ import annotations

import enum
import string
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.toml_records import MAX_FILE_BYTES, ConfigError, load_record, parse_record, schema_of

pytestmark = pytest.mark.arm


class Mount(enum.Enum):
    NADIR = "nadir"
    FORWARD = "forward"


class Lens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    focal_mm: float


class Camera(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    width: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    shutter: Literal["global", "rolling"] = "global"
    mount: Mount = Mount.NADIR
    lens: Lens | None = None
    window: tuple[float, float] = (0.0, 1.0)


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    driver: str
    options: dict[str, Any] = {}


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    latitude_deg: float
    height_m: float = 0.0


class Satellite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    radio: Device
    camera: list[Camera] = []
    stations: dict[str, Station] = {}


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slot: int


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entry: list[Entry] = []


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    table: list[Table]


GOOD = """\
# a satellite
number = 7

[radio]
driver = "udp"
options = { peer = "somewhere" }

[[camera]]
name = "front"
width = 640

[[camera]]
name = "down"
width = 1024
shutter = "rolling"   # for a pushbroom
mount = "forward"
window = [
    0.25,
    0.75,
]

  [camera.lens]
  focal_mm = 35.0

[stations.kiruna]
latitude_deg = 67.9

[stations."mas palomas"]
latitude_deg = 27.8
"""


def broken(before: str, after: str) -> str:
    assert GOOD.count(before) == 1, before
    return GOOD.replace(before, after)


def test_a_good_file_becomes_a_frozen_record() -> None:
    satellite = parse_record(GOOD, Satellite, "sat.toml")
    assert satellite.camera[1] == Camera("down", 1024, "rolling", Mount.FORWARD, Lens(35.0), (0.25, 0.75))
    assert satellite.stations["mas palomas"].latitude_deg == 27.8
    with pytest.raises(AttributeError):
        satellite.number = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line", "reason", "suggestion"),
    [
        # what is unknown, and where it should have been written
        (broken("width = 640", "widht = 640"), 10, "unknown field `widht`", "width"),
        (broken("width = 1024", "Width = 1024"), 14, "unknown field `Width`", "width"),
        (broken("  focal_mm", "  focal_m"), 23, "unknown field `focal_m`", "focal_mm"),
        (broken("[radio]", "[radoi]"), 4, "unknown field `radoi`", "radio"),
        (broken("number = 7", "number = 7\nheight_m = 5.0"), 3, "unknown field `height_m`", ""),
        (broken("number = 7", "number = 7\nlatitude_dg = 5.0"), 3, "unknown field `latitude_dg`", "latitude_deg"),
        (broken("latitude_deg = 27.8", "latitude = 27.8"), 29, "unknown field `latitude`", "latitude_deg"),
        (broken("latitude_deg = 67.9", "latitude_deg = 67.9\nzzz = 1"), 27, "unknown field `zzz`", ""),
        # what has the wrong type or size
        (broken("number = 7", 'number = "seven"'), 2, "expected `int`, got `str`", ""),
        (broken("width = 1024", "width = 0"), 14, "expected `int` >= 1", ""),
        (broken("width = 640", "width = 70000"), 10, "expected `int` <= 65535", ""),
        (broken("    0.75,\n", ""), 17, "array` of length 2, got 1", ""),
        (broken("    0.75", '    "most"'), 17, "expected `float`, got `str`", ""),
        (broken("  focal_mm = 35.0", '  focal_mm = "long"'), 23, "expected `float`", ""),
        (broken("latitude_deg = 27.8", 'latitude_deg = "south"'), 29, "expected `float`", ""),
        (broken("[radio]", "[radio.options]"), 4, "missing required field `driver`", ""),
        # what is not among the choices
        (broken('"rolling"', '"roling"'), 15, "invalid enum value 'roling'", "rolling"),
        (broken('"forward"', '"foreward"'), 16, "invalid enum value 'foreward'", "forward"),
        (broken('"rolling"', '"somehow"'), 15, "invalid enum value 'somehow'", ""),
        # what is missing
        (broken('name = "down"\n', ""), 12, "missing required field `name`", ""),
        (broken("number = 7\n", ""), 1, "missing required field `number`", ""),
        # what is no TOML
        (broken("number = 7", "number = "), 2, "not valid TOML", ""),
        (broken('name = "front"', 'name = "front'), 9, "not valid TOML", ""),
        (broken("number = 7", "number = 7\nnumber = 8"), 3, "not valid TOML", ""),
        (GOOD + "height_m =", 30, "not valid TOML", ""),
        (GOOD + "[stations.kiruna]\n", 30, "not valid TOML", ""),
    ],
)
def test_a_typo_is_shown_where_it_is(text: str, line: int, reason: str, suggestion: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_record(text, Satellite, "sat.toml")
    error = refused.value
    assert reason in error.reason
    assert (error.line, error.suggestion) == (line, suggestion)
    assert str(error).startswith(f"sat.toml:{line}: ")
    assert f"\n{line:>5} | {text.splitlines()[line - 1].rstrip()}" in str(error)
    assert ("did you mean" in str(error)) is bool(suggestion)
    assert isinstance(error, ValueError) and error.exit_status == 2


def test_the_whole_message_reads_as_the_guide_shows_it() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_record(broken("width = 640", "widht = 640"), Satellite, "sat.toml")
    assert str(refused.value) == (
        "sat.toml:10: object contains unknown field `widht`\n   10 | widht = 640\n  did you mean `width`?"
    )


def test_nested_arrays_of_tables_are_counted_by_their_parent() -> None:
    text = "[[table]]\n[[table.entry]]\nslot = 1\n[[table]]\n[[table.entry]]\nslot = 2\n[[table.entry]]\nslot = 'x'\n"
    with pytest.raises(ConfigError) as refused:
        parse_record(text, Plan, "plan.toml")
    assert refused.value.line == 8


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"number = 7\xff", "not UTF-8 at byte 10"),
        (b"#" * (MAX_FILE_BYTES + 1), "larger than"),
        (b"number = " + b"[" * 5000, "nested too deeply|not valid TOML"),
        (b"number = 1" + b"0" * 5000, "not valid TOML: Exceeds the limit"),
        (b"\x00", "not valid TOML"),
        (b"", "missing required field"),
    ],
)
def test_a_file_that_is_none_is_a_configuration_error_too(octets: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "sat.toml"
    path.write_bytes(octets)
    with pytest.raises(ConfigError, match=reason) as refused:
        load_record(path, Satellite)
    assert refused.value.file == str(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no.toml", "No such file"), (tmp_path, "directory")):
        with pytest.raises(ConfigError, match=reason) as refused:
            load_record(path, Satellite)
        assert refused.value.file == str(path)


@given(st.text(alphabet=string.printable, max_size=200))
def test_no_text_brings_anything_but_a_record_or_a_configuration_error(text: str) -> None:
    try:
        parse_record(text, Satellite, "any.toml")
    except ConfigError as error:
        assert 0 <= error.line <= len(text.splitlines()) + 1


lines = GOOD.splitlines()


@given(st.integers(0, len(lines) - 1), st.integers(0, len(lines) - 1))
def test_no_pair_of_lines_left_out_brings_anything_else(first: int, second: int) -> None:
    text = "\n".join(line for number, line in enumerate(lines) if number not in (first, second))
    try:
        parse_record(text, Satellite, "cut.toml")
    except ConfigError as error:
        assert error.line >= 1


def test_the_schema_of_a_record_carries_its_limits() -> None:
    schema = schema_of(Satellite)
    assert schema["$defs"]["Camera"]["properties"]["width"] == {"type": "integer", "minimum": 1, "maximum": 65_535}
    assert schema["$defs"]["Camera"]["additionalProperties"] is False
