"""Numbers that events carry about inference: only numbers go down. A number keeps its meaning; new ones are added."""

from __future__ import annotations

from enum import IntEnum


class Fallback(IntEnum):
    """Why a session is not the one that commissioning prepared."""

    MODEL_CHANGED = 1  # the record is about other graphs: its decision is void, float is run
    NOT_PREPARED = 2  # no prepared graph for the provider that comes first
    FILE_MISSING = 3
    FILE_ALTERED = 4  # its hash is not the recorded one
    RUNTIME_CHANGED = 5
    PROCESSOR_CHANGED = 6
    DEVICE_CHANGED = 7  # another GPU, driver or TensorRT
    TILE_CHANGED = 8
    REJECTED = 9  # ONNX Runtime does not take it


class ProviderCode(IntEnum):
    """Execution providers; in lower case, the names of the configuration."""

    CPU = 1
    CUDA = 2
    TENSORRT = 3
    XNNPACK = 4
    ACL = 5


class PrecisionCode(IntEnum):
    """Forms of a graph; in lower case, the names of the manifest."""

    FLOAT = 1
    U8 = 2
    S8 = 3


class FormRefusal(IntEnum):
    """Why commissioning did not take a form of a graph; in lower case, as `swath models bench` says it."""

    SLOWER_THAN_FLOAT = 1
    GAINS_TOO_LITTLE = 2
    ANOTHER_IS_FASTER = 3


class RecordRefusal(IntEnum):
    """Why what commissioning recorded is not believed."""

    FILE_UNUSABLE = 1  # a file or the folder cannot be read or written
    TOO_LARGE = 2
    NOT_A_RECORD = 3
    SEALED_OTHERWISE = 4  # by a hash where a key is configured, or by a key where none is
    SEAL_BROKEN = 5
    OTHER_APPLICATION = 6  # than the one that the file is named after
    TOO_MANY = 7
    KEY_UNUSABLE = 8  # open to others, or not of 32 octets
