"""TOML files into frozen typed records, with errors that name file and line, show the line and suggest the nearest name.

A record is a msgspec Struct declared with `frozen=True, forbid_unknown_fields=True`; limits are written as
`Annotated[int, msgspec.Meta(ge=1)]`, so that the same line documents, validates and lands in the schema.
"""

from __future__ import annotations

import difflib
import re
import sys
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hal.errors import HalError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - JetPack 6
    import tomli as tomllib

Record = TypeVar("Record", bound=msgspec.Struct)
MAX_FILE_BYTES = 1 << 20


class ConfigError(HalError, ValueError):
    """A configuration file that cannot be used. Says where, shows the line, suggests the nearest name."""

    code = "config_error"
    exit_status = 2

    def __init__(self, file: str, line: int, reason: str, shown: str = "", suggestion: str = "") -> None:
        text = f"{file}:{line}: {reason}" if line else f"{file}: {reason}"
        if shown:
            text += f"\n{line:>5} | {shown.rstrip()}"
        if suggestion:
            text += f"\n  did you mean `{suggestion}`?"
        super().__init__(text)
        self.file, self.line, self.reason, self.suggestion = file, line, reason, suggestion


def load_record(path: Path, kind: type[Record]) -> Record:
    """Read and validate one TOML file. Raises ConfigError; never a bare parser error."""
    try:
        with path.open("rb") as stream:
            octets = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), 0, error.strerror or str(error)) from error
    if len(octets) > MAX_FILE_BYTES:
        raise ConfigError(str(path), 0, f"larger than {MAX_FILE_BYTES} bytes")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), 0, f"not UTF-8 at byte {error.start}") from error
    return parse_record(text, kind, str(path))


def parse_record(text: str, kind: type[Record], name: str) -> Record:
    """Validate TOML text; `name` stands for the file in errors. Raises ConfigError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else 0
        lines = text.splitlines()
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigError(name, line, f"not valid TOML: {reason}", shown) from error
    except RecursionError as error:
        raise ConfigError(name, 0, "nested too deeply") from error
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise _located(name, text, table, kind, str(error)) from error


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema of a record, for editors."""
    return msgspec.json.schema(kind)


def _located(name: str, text: str, table: dict[str, Any], kind: type[msgspec.Struct], message: str) -> ConfigError:
    path = (re.search(r"at `(?:key in )?\$\.?(.*)`", message) or ["", ""])[1]
    unknown = (re.search(r"unknown field `([^`]+)`", message) or ["", ""])[1]
    missing = (re.search(r"missing required field `([^`]+)`", message) or ["", ""])[1]
    reason = re.sub(r" - at `.*", "", message)
    line, shown = _locate(text, path, unknown)
    if missing:
        suggestion = ""
    else:
        shown_value = re.search(r"=\s*[\"']([^\"']*)[\"']", shown)
        suggestion = _nearest(kind, unknown) if unknown else _nearest_enum(kind, shown_value[1] if shown_value else "")
    return ConfigError(name, line, reason[:1].lower() + reason[1:], shown, suggestion)


def _locate(text: str, path: str, key: str) -> tuple[int, str]:
    """The line that wrote `path` (msgspec's notation, without `$`), or the nearest one above it."""
    want: list[str | int] = [
        int(part) if part.isdigit() else part for part in re.findall(r"[A-Za-z_][\w-]*|\d+", path)
    ]
    if key:
        want.append(key)
    table: list[str | int] = []
    counts: dict[str, int] = {}
    best: tuple[int, str] = (1, "")
    best_depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*\[\[\s*([\w.-]+)\s*\]\]", line):
            counts[found[1]] = counts.get(found[1], -1) + 1
            here = table = [*found[1].split("."), counts[found[1]]]
        elif found := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            here = table = list(found[1].split("."))
        elif found := re.match(r"\s*([\w-]+(?:\.[\w-]+)*)\s*=", line):
            here = [*table, *found[1].split(".")]
        else:
            continue
        if here == want:
            return number, line
        if here == want[: len(here)] and len(here) > best_depth:
            best, best_depth = (number, line), len(here)
    if best_depth == 0:
        lines = text.splitlines()
        return (1, lines[0]) if lines else (1, "")
    return best


def _structs(kind: Any, seen: set[Any]) -> set[Any]:
    """Every Struct type reachable from `kind`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind not in seen:
            seen.add(kind)
            for hint in typing.get_type_hints(kind, include_extras=True).values():
                _structs(hint, seen)
    for argument in typing.get_args(kind):
        _structs(argument, seen)
    return seen


def _nearest(kind: type[msgspec.Struct], unknown: str) -> str:
    names = {field.encode_name for struct in _structs(kind, set()) for field in msgspec.structs.fields(struct)}
    return next(iter(difflib.get_close_matches(unknown, sorted(names), 1)), "")


def _nearest_enum(kind: type[msgspec.Struct], value: str) -> str:
    if not value:
        return ""
    choices: set[str] = set()
    for struct in _structs(kind, set()):
        for hint in typing.get_type_hints(struct).values():
            for part in (hint, *typing.get_args(hint)):
                if typing.get_origin(part) is typing.Literal:
                    choices.update(choice for choice in typing.get_args(part) if isinstance(choice, str))
    return next(iter(difflib.get_close_matches(value, sorted(choices - {value}), 1)), "")
