"""Errors of the product room: what is wrong with a container, a seal, an envelope, an alert or an export."""

from __future__ import annotations

from flight.errors import FlightError


class ProductError(FlightError):
    """Base of every error of the product room."""

    code = "product_error"


class NotAProduct(ProductError, ValueError):
    """Octets that do not begin as a container (or an envelope) does."""

    code = "not_a_product"

    def __init__(self, what: str = "a product container") -> None:
        super().__init__(f"this is not {what}: the first octets are not its mark")


class UnsupportedVersion(ProductError, ValueError):
    """A container of a version that this decoder does not know."""

    code = "unsupported_version"

    def __init__(self, version: int, known: tuple[int, ...]) -> None:
        super().__init__(f"product version {version}; this decoder knows {', '.join(map(str, known))}")
        self.version, self.known = version, known


class ProductTruncated(ProductError, ValueError):
    """Fewer octets than the container says it has."""

    code = "product_truncated"

    def __init__(self, needed: int, got: int) -> None:
        super().__init__(f"the product is cut short: {needed} bytes needed, {got} there")
        self.needed, self.got = needed, got


class ProductTooLarge(ProductError, ValueError):
    """A declared size past the limit that the caller set. Nothing was allocated for it."""

    code = "product_too_large"

    def __init__(self, what: str, value: int, limit: int) -> None:
        super().__init__(f"{what}: {value}, at most {limit} are taken")
        self.what, self.value, self.limit = what, value, limit


class ProductDamaged(ProductError, ValueError):
    """A part of the container fails its check or is not what the format allows."""

    code = "product_damaged"

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part, self.reason = part, reason


class StripDamaged(ProductDamaged):
    """One strip of the mask cannot be used; the others can."""

    code = "strip_damaged"

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"mask strip {index}", reason)
        self.index = index


class HeaderInvalid(ProductError, ValueError):
    """A header field with a value that it must not have."""

    code = "header_invalid"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class ContentMismatch(ProductError, ValueError):
    """Counts or findings that do not follow from the mask they stand beside."""

    code = "content_mismatch"

    def __init__(self, what: str, stated: object, found: object) -> None:
        super().__init__(f"{what}: the product states {stated}, its mask has {found}")
        self.what = what


class RowsRefused(ProductError, ValueError):
    """Rows that the assembler does not take: too many, of another shape, or with class values that do not exist."""

    code = "rows_refused"

    def __init__(self, first_row: int, reason: str) -> None:
        super().__init__(f"rows from {first_row} on: {reason}")
        self.first_row, self.reason = first_row, reason


class MaskAbsent(ProductError, LookupError):
    """Something that needs the class map asked of a product that was made without it."""

    code = "mask_absent"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} needs the class map; this product was asked for without it")
        self.what = what


class MaskIncomplete(ProductError, ValueError):
    """A body asked for before all rows of the header were there."""

    code = "mask_incomplete"

    def __init__(self, rows: int, height: int) -> None:
        super().__init__(f"{rows} of {height} rows are there")
        self.rows, self.height = rows, height


class SealInvalid(ProductError, ValueError):
    """A seal that is malformed or was not made by the key it names over this body and time."""

    code = "seal_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the seal does not hold: {reason}")
        self.reason = reason


class SealKeyUnknown(SealInvalid):
    """A seal by a key that the caller did not give."""

    code = "seal_key_unknown"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no public key is known for key id {key_id}")
        self.key_id = key_id


class EnvelopeInvalid(ProductError, ValueError):
    """An envelope that cannot be opened: malformed, altered, or for another recipient."""

    code = "envelope_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the envelope cannot be opened: {reason}")
        self.reason = reason


class AlertInvalid(ProductError, ValueError):
    """An alert that is malformed or whose code does not match."""

    code = "alert_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"alert: {reason}")
        self.reason = reason


class NotGeoreferenced(ProductError, ValueError):
    """An answer in coordinates of the Earth asked of a product that has pixels only."""

    code = "not_georeferenced"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs a place on Earth; this product has no transform with an EPSG code (PNG and GeoTIFF work)"
        )
        self.what = what


class UnsupportedProjection(ProductError, ValueError):
    """An EPSG code that is not computed here."""

    code = "unsupported_projection"

    def __init__(self, epsg: int) -> None:
        super().__init__(f"EPSG:{epsg} is not computed here; known: 4326, 3857, 32601-32660, 32701-32760")
        self.epsg = epsg


class OutsideProjection(ProductError, ValueError):
    """Coordinates where a projection has no meaning."""

    code = "outside_projection"

    def __init__(self, epsg: int, reason: str) -> None:
        super().__init__(f"EPSG:{epsg}: {reason}")
        self.epsg, self.reason = epsg, reason


class AntimeridianCrossed(ProductError, ValueError):
    """A scene across the 180th meridian, which GeoJSON cannot hold in one ring."""

    code = "antimeridian_crossed"

    def __init__(self, west: float, east: float) -> None:
        super().__init__(
            f"the scene crosses the 180th meridian (from {west:.4f} to {east:.4f} degrees); GeoJSON would need its "
            "polygons cut there (RFC 7946, 3.1.9), which is not done: use the GeoTIFF"
        )
        self.west, self.east = west, east


class ExportKindUnknown(ProductError, ValueError):
    """A kind of file that products are not exported to."""

    code = "export_kind_unknown"
    exit_status = 2

    def __init__(self, kind: str, known: tuple[str, ...]) -> None:
        super().__init__(f"`{kind}` is not a kind of export; known: {', '.join(known)}")
        self.kind, self.known = kind, known


class ExportNotWritten(ProductError, OSError):
    """The system did not take an exported file."""

    code = "export_not_written"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class KeyFileUnusable(ProductError, ValueError):
    """A key file that cannot be read or holds no key."""

    code = "key_file_unusable"
    exit_status = 2

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class ProductUnreadable(ProductError, OSError):
    """A product file that the system does not give."""

    code = "product_unreadable"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class RecipientKeyNeeded(ProductError, PermissionError):
    """An envelope, and no key to open it with."""

    code = "recipient_key_needed"
    exit_status = 2

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is encrypted to a recipient: give the private key with --key FILE")
        self.path = path
