"""The checkpoint of a strip: what was kept comes back to the octet, and what a power cut spoilt is not believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.pipeline.checkpoint import Checkpoint, CheckpointUnusable

WIDTH, SIDE, CLASSES = 7, 4, 2
DIGEST = bytes(range(32))


def opened(folder: Path, digest: bytes = DIGEST) -> Checkpoint:
    return Checkpoint(folder, digest, WIDTH)


def scores(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((CLASSES, SIDE, SIDE), dtype=np.float32)


def rows(first: int, count: int) -> np.ndarray:
    return (np.arange(first * WIDTH, (first + count) * WIDTH) % 251).astype(np.uint8).reshape(count, WIDTH)


def filled(folder: Path) -> Checkpoint:
    """Two finished rows of tiles (3 and 4 class rows) and two tiles of the third."""
    checkpoint = opened(folder)
    for row, (first, count) in enumerate(((0, 3), (3, 4))):
        checkpoint.save_tile(row, 0, scores(row))
        checkpoint.save_row({"row": row + 1}, rows(first, count))
    checkpoint.save_tile(2, 0, scores(20))
    checkpoint.save_tile(2, 1, scores(21))
    return checkpoint


def test_what_was_kept_comes_back_in_another_process(tmp_path: Path) -> None:
    filled(tmp_path)  # never closed: the process is gone
    checkpoint = opened(tmp_path)
    assert checkpoint.engine_state == {"row": 2}
    assert checkpoint.class_rows_kept == 7
    np.testing.assert_array_equal(checkpoint.class_rows(0, 7), rows(0, 7))
    np.testing.assert_array_equal(checkpoint.class_rows(2, 3), rows(2, 3))
    kept = checkpoint.tiles(2, CLASSES, SIDE)
    assert sorted(kept) == [0, 1]
    np.testing.assert_array_equal(kept[1], scores(21))
    assert checkpoint.tiles(3, CLASSES, SIDE) == {}


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["state0.bin", "state1.bin", "classes.bin", "row.bin"]), share=st.floats(0, 1), data=st.data()
)
def test_a_file_cut_or_changed_anywhere_gives_either_what_was_kept_or_a_new_start(
    tmp_path_factory: pytest.TempPathFactory, name: str, share: float, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    filled(folder).close()
    octets = bytearray((folder / name).read_bytes())
    at = int(share * (len(octets) - 1))
    if data.draw(st.booleans(), label="cut"):
        del octets[at:]
    else:
        octets[at] ^= data.draw(st.integers(1, 255), label="flip")
    (folder / name).write_bytes(octets)
    checkpoint = opened(folder)
    state = checkpoint.engine_state
    # of a damaged row 2 the state after row 1 is left, if its own class rows are whole
    assert (
        state
        in {
            "state0.bin": ({"row": 2},),
            "state1.bin": ({"row": 1},),
            "classes.bin": (None, {"row": 1}),
            "row.bin": ({"row": 2},),
        }[name]
    )
    if state is None:
        assert checkpoint.class_rows_kept == 0
        assert checkpoint.tiles(0, CLASSES, SIDE) == {}
    elif state == {"row": 1}:
        np.testing.assert_array_equal(checkpoint.class_rows(0, checkpoint.class_rows_kept), rows(0, 3))
        assert checkpoint.tiles(1, CLASSES, SIDE) == {}, "what row.bin holds is of another row"
        checkpoint.save_tile(1, 0, scores(1))
        checkpoint.save_row({"row": 2}, rows(3, 4))
        np.testing.assert_array_equal(opened(folder).class_rows(0, 7), rows(0, 7))
    else:
        np.testing.assert_array_equal(checkpoint.class_rows(0, 7), rows(0, 7))
        for column, kept in checkpoint.tiles(2, CLASSES, SIDE).items():
            np.testing.assert_array_equal(kept, scores(20 + column))


def test_rows_written_behind_the_state_are_cut_off(tmp_path: Path) -> None:
    """The kill came between the class rows and the state that counts them."""
    checkpoint = filled(tmp_path)
    checkpoint.close()
    with (tmp_path / "classes.bin").open("ab") as stream:
        stream.write(bytes(WIDTH * 2 + 3))
    checkpoint = opened(tmp_path)
    assert checkpoint.class_rows_kept == 7
    checkpoint.save_row({"row": 3}, rows(7, 2))
    np.testing.assert_array_equal(opened(tmp_path).class_rows(0, 9), rows(0, 9))


def test_tiles_of_a_finished_row_are_not_taken_for_the_next_one(tmp_path: Path) -> None:
    """The kill came between the state and the end of its tiles."""
    checkpoint = opened(tmp_path)
    checkpoint.save_tile(0, 0, scores(1))
    checkpoint.close()
    stale = (tmp_path / "row.bin").read_bytes()
    checkpoint = opened(tmp_path)
    checkpoint.save_row({"row": 1}, rows(0, 3))
    checkpoint.close()
    (tmp_path / "row.bin").write_bytes(stale)
    assert opened(tmp_path).tiles(1, CLASSES, SIDE) == {}


def test_the_file_of_scores_does_not_grow_from_row_to_row_and_is_cut_when_it_is_closed(tmp_path: Path) -> None:
    checkpoint, sizes = opened(tmp_path), set()
    for row in range(4):
        for column in range(3):
            checkpoint.save_tile(row, column, scores(row * 3 + column))
        sizes.add(os.path.getsize(tmp_path / "row.bin"))
        if row < 3:
            checkpoint.save_row({"row": row + 1}, rows(row, 1))
    assert len(sizes) == 1
    checkpoint = opened(tmp_path)  # the process is gone
    kept = checkpoint.tiles(3, CLASSES, SIDE)
    assert sorted(kept) == [0, 1, 2]
    np.testing.assert_array_equal(kept[2], scores(11))
    checkpoint.save_row({"row": 4}, rows(3, 1))
    checkpoint.close()
    assert os.path.getsize(tmp_path / "row.bin") == 0


def test_the_next_tile_goes_where_the_torn_one_was(tmp_path: Path) -> None:
    """Row 0 had three tiles; of row 1 one is whole and one torn, and behind it lies a whole one of row 0."""
    checkpoint = opened(tmp_path)
    for column in range(3):
        checkpoint.save_tile(0, column, scores(column))
    checkpoint.save_row({"row": 1}, rows(0, 3))
    checkpoint.save_tile(1, 0, scores(10))
    checkpoint.save_tile(1, 1, scores(11))
    size = os.path.getsize(tmp_path / "row.bin") // 3
    with (tmp_path / "row.bin").open("r+b") as stream:
        stream.seek(size + size // 2)
        stream.write(bytes(8))
    checkpoint = opened(tmp_path)
    assert sorted(checkpoint.tiles(1, CLASSES, SIDE)) == [0]
    checkpoint.save_tile(1, 1, scores(11))
    checkpoint.save_tile(1, 2, scores(12))
    kept = opened(tmp_path).tiles(1, CLASSES, SIDE)
    assert sorted(kept) == [0, 1, 2]
    np.testing.assert_array_equal(kept[1], scores(11))


def test_work_under_another_setup_starts_anew(tmp_path: Path) -> None:
    filled(tmp_path).close()
    checkpoint = opened(tmp_path, bytes(32))
    assert (checkpoint.engine_state, checkpoint.class_rows_kept) == (None, 0)
    assert os.path.getsize(tmp_path / "classes.bin") == 0


def test_rows_that_are_not_there_are_not_invented(tmp_path: Path) -> None:
    checkpoint = filled(tmp_path)
    for first, count in ((0, 8), (-1, 2), (7, 1), (0, -1)):
        with pytest.raises(CheckpointUnusable):
            checkpoint.class_rows(first, count)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.write_text("a file"),
        lambda folder: (folder / "state1.bin" / "inside").mkdir(parents=True),
        lambda folder: (folder / "classes.bin").mkdir(parents=True),
    ],
    ids=["a file for the folder", "a folder for the state", "a folder for the rows"],
)
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    folder = tmp_path / "work"
    spoil(folder)
    with pytest.raises(CheckpointUnusable) as refused:
        opened(folder)
    assert refused.value.code == "checkpoint_unusable" and str(folder) in str(refused.value)


def test_a_full_disk_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    checkpoint = filled(tmp_path)
    with open("/dev/full", "ab", buffering=0) as full:
        checkpoint._row.close()
        checkpoint._row = full
        with pytest.raises(CheckpointUnusable, match="No space left"):
            checkpoint.save_tile(2, 2, scores(22))
