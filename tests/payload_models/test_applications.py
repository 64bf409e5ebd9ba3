"""Finding, reading and believing an application; every way to get one wrong has its message."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hal.toml_records import ConfigError
from payload_models.errors import (
    ApplicationUnknown,
    GraphRefused,
    HashMismatch,
    ModelError,
    ModelFileUnreadable,
    ParameterRefused,
)
from payload_models.loader import applications, load_application
from payload_models.manifest import Manifest
from tests.payload_models.folders import copy_of, edit, exchange_graph

NAMES = sorted(applications())


def test_water_and_cloud_come_with_the_installation() -> None:
    assert {"cloud", "water"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_application_loads_with_its_graphs_checked_and_has_a_card_and_a_recipe(name: str) -> None:
    application = load_application(name, check_graphs=True)
    assert application.name == name
    assert (application.folder / "card.md").stat().st_size > 500
    assert (application.folder / "recipe.py").is_file()
    assert application.manifest.golden


def test_an_unknown_application_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ApplicationUnknown) as caught:
        load_application("watr", check_graphs=False)
    assert caught.value.suggestion == "water"
    assert caught.value.exit_status == 2
    assert isinstance(caught.value, KeyError)
    assert "did you mean `water`?" in str(caught.value)


def test_an_application_is_found_by_its_folder(tmp_path: Path) -> None:
    assert load_application(copy_of("water", tmp_path), check_graphs=True).name == "water"


def test_a_model_that_is_not_the_one_of_the_manifest_is_refused(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    path = folder / "nir.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    application = load_application(folder, check_graphs=False)
    application.model_bytes(0)
    with pytest.raises(HashMismatch) as caught:
        application.model_bytes(3)
    assert caught.value.found != caught.value.expected
    with pytest.raises(HashMismatch):
        load_application(folder, check_graphs=True)


def test_a_corrupt_graph_with_a_right_hash_is_refused_by_the_guard(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    exchange_graph(folder, "nir.onnx", (folder / "nir.onnx").read_bytes()[:-30])
    with pytest.raises(GraphRefused) as caught:
        load_application(folder, check_graphs=True)
    assert caught.value.reason == "truncated"


def test_a_graph_of_another_variant_is_refused_because_its_bands_differ(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    exchange_graph(folder, "nir.onnx", (folder / "green_nir.onnx").read_bytes())
    with pytest.raises(GraphRefused) as caught:
        load_application(folder, check_graphs=True)
    assert caught.value.reason == "interface"


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    (folder / "nir.onnx").unlink()
    with pytest.raises(ModelFileUnreadable, match=r"nir\.onnx"):
        load_application(folder, check_graphs=True)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    outside = tmp_path / "outside.onnx"
    (folder / "nir.onnx").rename(outside)
    (folder / "nir.onnx").symlink_to(outside)
    with pytest.raises(ModelFileUnreadable, match="outside"):
        load_application(folder, check_graphs=False).model_bytes(3)


@pytest.mark.parametrize(
    ("old", "new", "suggestion"),
    [
        ("summary =", "sumary =", "summary"),
        ("margin = 0", "margn = 0", "margin"),
        ("finding = true", "findings = true", "finding"),
        ('radiometry = ["toa", "surface", "dn8"]', 'radiometry = ["toa", "surfase", "dn8"]', "surface"),
        ("tile = 256", 'tile = "256"', ""),
        ("tile = 256", "tile = 3", ""),
        ("tile = 256", "tile = 256000", ""),
        ('licence = "Apache-2.0"', "licence = ", ""),
        ('model = "green_nir_swir16.onnx"', 'model = "../green_nir_swir16.onnx"', ""),
        ('model = "green_nir_swir16.onnx"', 'model = "/etc/passwd"', ""),
        ('sha256 = "', 'sha256 = "zz', ""),
        ('name = "water"', 'name = "Water!"', ""),
    ],
)
def test_a_mistake_in_a_manifest_is_shown_with_file_and_line(
    tmp_path: Path, old: str, new: str, suggestion: str
) -> None:
    folder = copy_of("water", tmp_path)
    line = edit(folder, old, new)
    with pytest.raises(ConfigError) as caught:
        load_application(folder, check_graphs=False)
    assert caught.value.line == line, str(caught.value)
    assert f"manifest.toml:{line}:" in str(caught.value)
    assert caught.value.exit_status == 2
    assert caught.value.suggestion == suggestion


def test_a_mistake_inside_a_list_of_bands_is_shown_where_the_list_begins(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    line = edit(folder, "nm = [520, 600]", "nm = [520]")
    with pytest.raises(ConfigError) as caught:
        load_application(folder, check_graphs=False)
    assert caught.value.line == line - 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("margin = 0", "margin = 8", "half the overlap"),
        ("overlap = 0", "overlap = 200", "half the tile"),
        ("low = 0.0", "low = 3.0", "low must be below high"),
        ("gsd_m = [0.3, 1000]", "gsd_m = [30, 10]", "lowest, highest"),
        ("default = 0.5", "default = 0.55", "not among values"),
        ("id = 1", "id = 2", "count from 0"),
        ('name = "other"', 'name = "other"\nfinding = true', "more than one class"),
        ("variant = 4", "variant = 7", "does not exist"),
    ],
)
def test_numbers_that_do_not_fit_each_other_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    folder = copy_of("water", tmp_path)
    edit(folder, old, new)
    with pytest.raises(ConfigError, match=says):
        load_application(folder, check_graphs=False)


def test_tile_and_margin_must_be_multiples_of_what_the_network_halves(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    edit(folder, "overlap = 0", "multiple = 4\noverlap = 6")
    with pytest.raises(ConfigError, match="multiples"):
        load_application(folder, check_graphs=False)


def test_parameters_take_listed_values_only_and_unknown_ones_are_named() -> None:
    manifest = load_application("water", check_graphs=False).manifest
    assert manifest.parameters({}) == {"threshold": 0.5}
    assert manifest.threshold({"threshold": 0.3}) == 0.3
    with pytest.raises(ParameterRefused, match="not one of"):
        manifest.parameters({"threshold": 0.31})
    with pytest.raises(ParameterRefused, match="not declared"):
        manifest.parameters({"treshold": 0.3})


def test_every_error_of_the_room_has_its_own_code_and_a_builtin() -> None:
    kinds = ModelError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(len(kind.__mro__) > 5 for kind in kinds)


def test_the_schema_of_a_manifest_can_be_exported() -> None:
    assert "variant" in str(msgspec.json.schema(Manifest))
