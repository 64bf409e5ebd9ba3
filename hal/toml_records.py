"""TOML files into frozen typed records. An error names file and line, shows the line and suggests the nearest name.

A record is a msgspec Struct declared with `frozen=True, forbid_unknown_fields=True`; limits are written as
`Annotated[int, msgspec.Meta(ge=1)]`, so that the same line documents, validates and lands in the schema.
"""

from __future__ import annotations

import difflib
import enum
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
        lines = text.split("\n")
        written = [number for number, line in enumerate(lines, 1) if line.strip()]
        line = int(found[1]) if found else (written or [1])[-1]  # "at end of document": the last line with something
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigError(name, line, f"not valid TOML: {reason}", shown) from error
    except ValueError as error:  # a number of thousands of digits
        raise ConfigError(name, 0, f"not valid TOML: {str(error).split(':')[0]}") from error
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
    """The validator's message with the line that it is about. Its path reads `$.entry[2].slot`, `[...]` for any key."""
    written = (re.search(r" - at `(?:key in )?\$(.*)`$", message) or ["", ""])[1]
    unknown = (re.search(r"unknown field `([^`]+)`", message) or ["", ""])[1]
    steps: list[Any] = [
        ... if step == "..." else int(step) if step.isdigit() else step
        for step in re.findall(r"\.\.\.|[A-Za-z_][\w-]*|\d+", written)
    ]
    path, place, value = _follow(table, kind, steps)
    line, shown = _locate(text, [*path, unknown] if unknown else path)
    suggestion = ""
    if unknown:
        suggestion = _nearest(unknown, _field_names(place)) or _nearest(unknown, _every_field_name(kind))
    elif "enum value" in message:
        suggestion = _nearest(str(value), _choices(place))
    reason = message.split(" - at `")[0]
    return ConfigError(name, line, reason[:1].lower() + reason[1:], shown, suggestion)


def _follow(value: Any, kind: Any, steps: list[Any]) -> tuple[list[str | int], Any, Any]:
    """(concrete path, declared type, value) at the validator's path; any key: the first one that does not fit."""
    path: list[str | int] = []
    for step in steps:
        kind = _plain(kind)
        if step is ...:
            inner = (*typing.get_args(kind), Any)[1]
            step = next((key for key, item in value.items() if not _fits(item, inner)), None)
        if step is None:
            break
        path.append(step)
        kind = _member(kind, step)
        try:
            value = value[step]
        except (LookupError, TypeError):
            break
    return path, _plain(kind), value


def _plain(kind: Any) -> Any:
    """The type inside Annotated and Optional."""
    while True:
        if typing.get_origin(kind) is typing.Annotated:
            kind = typing.get_args(kind)[0]
        elif type(None) in typing.get_args(kind):
            kind = next(part for part in typing.get_args(kind) if part is not type(None))
        else:
            return kind


def _member(kind: Any, step: str | int) -> Any:
    """The declared type of one member of a table or list; Any where nothing is declared."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        names = {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
        return typing.get_type_hints(kind, include_extras=True).get(names.get(str(step), ""), Any)
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        return parts[1]
    if isinstance(step, int) and step < len(parts) and ... not in parts:
        return parts[step]
    return parts[0] if parts else Any


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _locate(text: str, path: list[str | int]) -> tuple[int, str]:
    """The line that wrote `path`, or the one that opened the nearest table above it."""
    table: list[str | int] = []
    counts: dict[tuple[str, ...], int] = {}  # elements so far of each array of tables
    lines = text.splitlines()
    best, best_depth = (1, lines[0] if lines else ""), 0
    for number, line in enumerate(lines, 1):
        if found := re.match(rf"\s*\[\[\s*({_PATH})\s*\]\]\s*(?:#.*)?$", line):
            names = _names(found[1])
            counts[names] = counts.get(names, -1) + 1
            for deeper in [key for key in counts if key[: len(names)] == names and key != names]:
                del counts[deeper]
            here = table = _indexed(names, counts)
        elif found := re.match(rf"\s*\[\s*({_PATH})\s*\]\s*(?:#.*)?$", line):
            here = table = _indexed(_names(found[1]), counts)
        elif found := re.match(rf"\s*({_PATH})\s*=", line):
            here = [*table, *_names(found[1])]
        else:
            continue
        if path and here[: len(path)] == path:
            return number, line
        if here == path[: len(here)] and len(here) > best_depth:
            best, best_depth = (number, line), len(here)
    return best


_KEY = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in re.findall(_KEY, dotted))


def _indexed(names: tuple[str, ...], counts: dict[tuple[str, ...], int]) -> list[str | int]:
    """a.b -> a, 2, b where `a` is an array of tables that has three elements so far."""
    out: list[str | int] = []
    for depth, name in enumerate(names, 1):
        out.append(name)
        if names[:depth] in counts:
            out.append(counts[names[:depth]])
    return out


def _nearest(given: str, known: list[str]) -> str:
    return next(iter(difflib.get_close_matches(given, [name for name in known if name != given], 1)), "")


def _field_names(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return sorted(field.encode_name for field in msgspec.structs.fields(kind))
    return []


def _every_field_name(kind: type[msgspec.Struct]) -> list[str]:
    """Of every table anywhere in the file: a key may have been written into the wrong one."""
    seen: set[Any] = set()
    waiting: list[Any] = [kind]
    while waiting:
        part = waiting.pop()
        waiting += typing.get_args(part)
        if isinstance(part, type) and issubclass(part, msgspec.Struct) and part not in seen:
            seen.add(part)
            waiting += typing.get_type_hints(part, include_extras=True).values()
    return sorted({name for struct in seen for name in _field_names(struct)})


def _choices(kind: Any) -> list[str]:
    """The values that a Literal or an Enum allows."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return sorted(str(member.value) for member in kind)
    return sorted(str(choice) for choice in typing.get_args(kind))
