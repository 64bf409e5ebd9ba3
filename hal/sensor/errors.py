"""What can be wrong with a scene file. A scene is hostile until checked: each way it can lie has its own error."""

from __future__ import annotations

from collections.abc import Iterable

from hal.errors import HalError
from hal.toml_records import ConfigError


class SceneError(HalError):
    """Base of every error about a scene file."""

    code = "scene_error"


class SceneUnreadable(SceneError, ValueError):
    """Not a scene file, or one whose contents contradict each other."""

    code = "scene_unreadable"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class SceneTruncated(SceneError, EOFError):
    """The file ends before the pixels that its header promises."""

    code = "scene_truncated"

    def __init__(self, path: str, needed_bytes: int, got_bytes: int) -> None:
        super().__init__(f"{path}: truncated, needs {needed_bytes} bytes, has {got_bytes}")
        self.path, self.needed_bytes, self.got_bytes = path, needed_bytes, got_bytes


class SceneBufferMismatch(SceneError, ValueError):
    """A buffer for rows that is not (count, width, bands) of the scene's samples, writable, in C order."""

    code = "scene_buffer_mismatch"

    def __init__(self, path: str, needed: str, got: str) -> None:
        super().__init__(f"{path}: rows need a buffer {needed}, got {got}")
        self.path, self.needed, self.got = path, needed, got


class SceneTooLarge(SceneError, ValueError):
    """A size above what is ever read from a scene file."""

    code = "scene_too_large"

    def __init__(self, path: str, what: str, value: int, limit: int) -> None:
        super().__init__(f"{path}: {what} is {value}, at most {limit} are read")
        self.path, self.what, self.value, self.limit = path, what, value, limit


class CompressionUnsupported(SceneError, NotImplementedError):
    """A compression that cannot be undone with what is installed."""

    code = "compression_unsupported"

    def __init__(self, path: str, compression: str, advice: str = "pip install 'swath[tiff]'") -> None:
        super().__init__(f"{path}: {compression} compression is not supported here; {advice}")
        self.path, self.compression, self.advice = path, compression, advice


class DtypeUnsupported(SceneError, TypeError):
    """A sample type other than uint8, uint16, int16, float32."""

    code = "dtype_unsupported"

    def __init__(self, path: str, dtype: str) -> None:
        super().__init__(f"{path}: {dtype} samples; only uint8, uint16, int16 and float32 are read")
        self.path, self.dtype = path, dtype


class BandsAmbiguous(SceneError, ValueError):
    """The file does not say which band is which, or says it in a way that fits several sensors."""

    code = "bands_ambiguous"

    def __init__(self, path: str, bands: Iterable[str], candidates: Iterable[str], why: str) -> None:
        self.path, self.bands, self.candidates = path, tuple(bands), tuple(candidates)
        candidates_text = f"; it could be {', '.join(self.candidates)}" if self.candidates else ""
        super().__init__(f"{path}: {why}{candidates_text}. Say it with --sensor or in a sidecar file")


class BandUnknown(SceneError, ValueError):
    """A band name that the sensor does not have."""

    code = "band_unknown"

    def __init__(self, path: str, band: str, sensor: str, known: Iterable[str]) -> None:
        self.path, self.band, self.sensor, self.known = path, band, sensor, tuple(known)
        super().__init__(f"{path}: {sensor} has no band `{band}`; known: {', '.join(self.known)}")


class SensorUnknown(SceneError, KeyError):
    """A sensor name that is not in the table of sensors."""

    code = "sensor_unknown"
    exit_status = 2

    def __init__(self, sensor: str, known: Iterable[str], nearest: str = "") -> None:
        self.sensor, self.known, self.nearest = sensor, tuple(known), nearest
        hint = f"; did you mean `{nearest}`?" if nearest else ""
        super().__init__(f"no sensor named `{sensor}`{hint}; known: {', '.join(self.known)}")

    def __str__(self) -> str:
        return str(self.args[0])


class SidecarError(SceneError, ConfigError):
    """A sidecar file that cannot be used. Says where, as every configuration error does."""

    code = "sidecar_error"

    def __init__(self, file: str, reason: str, line: int = 0, shown: str = "", suggestion: str = "") -> None:
        ConfigError.__init__(self, file, line, reason, shown, suggestion)

    @classmethod
    def of(cls, cause: ConfigError) -> SidecarError:
        """The same complaint as a scene error, word for word."""
        error = cls(cause.file, cause.reason, cause.line, "", cause.suggestion)
        error.args = cause.args
        return error
