"""What an application says about itself: `manifest.toml` as typed, bounded records.

A manifest is hostile until checked: names are short, paths stay inside the folder, numbers have limits. A mistake is
a hal.toml_records.ConfigError with file, line and nearest name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bindings.tiles import Quantisation
from hal.toml_records import load_record
from payload_models.errors import FormMissing, ParameterRefused

RadiometryName = Literal["toa", "surface", "dn", "dn8"]
ProductName = Literal["mask", "regions", "counts", "alert"]
NeedName = Literal["reference", "area"]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
# Relative, downward only: no leading slash, no `..`, no hidden file.
FilePath = Annotated[
    str, Meta(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*$", max_length=96)
]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Metres = Annotated[float, Meta(gt=0, le=100_000)]
Nanometres = Annotated[float, Meta(ge=200, le=20_000)]

MAX_VARIANTS = 8
MAX_BANDS = 16
MAX_CLASSES = 32


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the scene is cut and scaled before the graph sees it."""

    gsd_m: Annotated[list[Metres], Meta(min_length=2, max_length=2)]  # lowest, highest ground sampling distance
    radiometry: Annotated[list[RadiometryName], Meta(min_length=1, max_length=4)]
    tile: Annotated[int, Meta(ge=16, le=2048)]  # pixels on a side
    overlap: Annotated[int, Meta(ge=0, le=1024)]  # pixels shared by neighbouring tiles
    margin: Annotated[int, Meta(ge=0, le=512)]  # outer pixels of a tile that are never used
    multiple: Annotated[int, Meta(ge=1, le=64)] = 1  # tile origins and sizes are multiples of it
    low: Annotated[float, Meta(ge=-10, le=10)] = 0.0  # reflectance is clipped to low..high
    high: Annotated[float, Meta(ge=-10, le=100)] = 1.0

    def __post_init__(self) -> None:
        if self.gsd_m[0] > self.gsd_m[1]:
            raise ValueError("gsd_m is not in the order lowest, highest")
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.margin > self.overlap // 2:
            raise ValueError("margin is more than half the overlap")
        if 2 * self.overlap > self.tile:
            raise ValueError("overlap is more than half the tile")
        if any(pixels % self.multiple for pixels in (self.tile, self.overlap, self.margin)):
            raise ValueError("tile, overlap and margin must be multiples of `multiple`")


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input plane: a common name and the wavelengths in which a band's centre may lie."""

    name: Name
    nm: Annotated[list[Nanometres], Meta(min_length=2, max_length=2)]

    def __post_init__(self) -> None:
        if self.nm[0] > self.nm[1]:
            raise ValueError("nm is not in the order lowest, highest")


class Int8Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same network computing in octets. Its input is quantised as ONNX QuantizeLinear does, while tiles are cut."""

    activations: Literal["u8", "s8"]
    model: FilePath
    sha256: Sha256
    scale: Annotated[float, Meta(gt=0, le=100)]  # of the input: one level, in reflectance
    zero_point: Annotated[int, Meta(ge=-128, le=255)]

    def __post_init__(self) -> None:
        low = 0 if self.activations == "u8" else -128
        if not low <= self.zero_point <= low + 255:
            raise ValueError(f"zero_point of {self.activations} activations is {low} to {low + 255}")


@dataclass(frozen=True, slots=True)
class GraphForm:
    """One of the graphs that a variant can be run with."""

    precision: str  # float, u8, s8
    model: str
    sha256: str
    quantisation: Quantisation | None  # of the input; None: float32


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One graph and the bands it reads, in the order of its planes; and the int8 forms that it may be exchanged for."""

    model: FilePath
    sha256: Sha256
    bands: Annotated[list[Band], Meta(min_length=1, max_length=MAX_BANDS)]
    int8: Annotated[list[Int8Form], Meta(max_length=2)] = []

    def __post_init__(self) -> None:
        if len({form.activations for form in self.int8}) != len(self.int8):
            raise ValueError("two int8 forms have the same activations")

    @property
    def forms(self) -> tuple[GraphForm, ...]:
        """Float first, then the int8 forms in their order."""
        return (
            GraphForm("float", self.model, self.sha256, None),
            *(
                GraphForm(form.activations, form.model, form.sha256, Quantisation(form.scale, form.zero_point))
                for form in self.int8
            ),
        )

    def form(self, precision: str) -> int:
        """The number of the form of that precision. Raises FormMissing."""
        known = [form.precision for form in self.forms]
        if precision not in known:
            raise FormMissing(self.model, precision, known)
        return known.index(precision)


class ClassEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value of the class map. `finding`: what regions and alerts are about."""

    id: Annotated[int, Meta(ge=0, le=254)]  # 255 stands for no answer
    name: Name
    finding: bool = False


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """probability: one plane, class 1 where it reaches the threshold. argmax: one plane per class."""

    kind: Literal["probability", "argmax"]
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.5


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number that a job may choose, from a coarse list: it cannot carry a message."""

    name: Name
    values: Annotated[list[float], Meta(min_length=1, max_length=16)]
    default: float

    def __post_init__(self) -> None:
        if self.default not in self.values:
            raise ValueError("default is not among values")


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recorded input with its answer, checked before an application may be used."""

    input: FilePath
    expect: FilePath
    variant: Annotated[int, Meta(ge=0, lt=MAX_VARIANTS)] = 0
    precision: Literal["float", "int8"] = "float"  # int8: every int8 form of the variant must answer so
    max_differing_fraction: Annotated[float, Meta(ge=0, le=0.1)] = 0.0


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of manifest.toml."""

    name: Name
    version: Annotated[str, Meta(pattern=r"^\d{1,4}\.\d{1,4}\.\d{1,4}$")]
    summary: Annotated[str, Meta(min_length=1, max_length=200)]
    licence: Annotated[str, Meta(min_length=1, max_length=64)]
    products: Annotated[list[ProductName], Meta(min_length=1, max_length=4)]
    input: Input
    output: Output
    variant: Annotated[list[Variant], Meta(min_length=1, max_length=MAX_VARIANTS)]
    classes: Annotated[list[ClassEntry], Meta(min_length=2, max_length=MAX_CLASSES)] = msgspec.field(name="class")
    parameter: Annotated[list[Parameter], Meta(max_length=8)] = []
    needs: Annotated[list[NeedName], Meta(max_length=2)] = []
    golden: Annotated[list[Golden], Meta(max_length=16)] = []

    def __post_init__(self) -> None:
        if [entry.id for entry in self.classes] != list(range(len(self.classes))):
            raise ValueError("class ids must count from 0 in order")
        if self.output.kind == "probability" and len(self.classes) != 2:
            raise ValueError("a probability output has exactly two classes")
        if sum(entry.finding for entry in self.classes) > 1:
            raise ValueError("more than one class is marked as the finding")
        if any(case.variant >= len(self.variant) for case in self.golden):
            raise ValueError("a golden case names a variant that does not exist")
        if any(case.precision == "int8" and not self.variant[case.variant].int8 for case in self.golden):
            raise ValueError("a golden case is for int8, and its variant has no int8 form")

    @property
    def planes(self) -> int:
        """Planes of the graph's output."""
        return 1 if self.output.kind == "probability" else len(self.classes)

    @property
    def finding_class(self) -> int:
        """Id of the class that findings are about; 0 where there is none."""
        return next((entry.id for entry in self.classes if entry.finding), 0)

    def parameters(self, chosen: dict[str, float]) -> dict[str, float]:
        """Every declared parameter with its chosen or default value. Raises ParameterRefused."""
        declared = {parameter.name: parameter for parameter in self.parameter}
        for name, value in chosen.items():
            if name not in declared:
                raise ParameterRefused(self.name, name, f"not declared; declared: {', '.join(declared) or 'none'}")
            if value not in declared[name].values:
                listed = ", ".join(f"{item:g}" for item in declared[name].values)
                raise ParameterRefused(self.name, name, f"{value:g} is not one of {listed}")
        return {name: float(chosen.get(name, parameter.default)) for name, parameter in declared.items()}

    def threshold(self, parameters: dict[str, float]) -> float:
        """The threshold that a job's parameters ask for: parameter `threshold` where it is declared."""
        return self.parameters(parameters).get("threshold", self.output.threshold)


def load_manifest(path: Path) -> Manifest:
    """Read and validate one manifest.toml. Raises hal.toml_records.ConfigError with file, line and nearest name."""
    return load_record(path, Manifest)
