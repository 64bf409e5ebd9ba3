"""Why something was refused, failed or held back: numbers for the link, words for people. Numbers are never reused."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """Why a job or a grant was answered as it was. Travels in one octet of a status report."""

    NONE = 0
    # the message
    MALFORMED = 1
    UNKNOWN_KEY = 2
    BAD_SIGNATURE = 3
    REPLAYED = 4
    NOT_YET_VALID = 5
    EXPIRED = 6
    UNKNOWN_JOB = 7
    # what the grant allows
    APPLICATION_NOT_GRANTED = 20
    AREA_NOT_GRANTED = 21
    PRODUCT_NOT_GRANTED = 22
    OVER_JOB_BYTES = 23
    OVER_DAILY_BYTES = 24
    GRANT_REVOKED = 25
    # what the satellite has
    UNKNOWN_APPLICATION = 40
    APPLICATION_DISABLED = 41
    VERSION_NOT_FLYING = 42
    PRODUCT_NOT_DECLARED = 43
    PARAMETER_UNKNOWN = 44
    PARAMETER_NOT_OFFERED = 45
    NEEDS_REFERENCE = 46
    AREA_INVALID = 47
    AREA_TOO_LARGE = 48
    QUEUE_FULL = 49
    NO_PASS = 50
    OVER_ENERGY = 51
    OVER_COMPUTE = 52
    LOW_BATTERY = 53
    # what happened
    CAPTURE_FAILED = 70
    INFERENCE_FAILED = 71
    PRODUCT_REFUSED = 72
    TRANSFER_FAILED = 73
    DEADLINE_PASSED = 74
    CANCELLED_BY_TENANT = 75
    AWAITING_RECEIPT = 76

    @property
    def text(self) -> str:
        """One sentence for people."""
        return _TEXTS[self]


_TEXTS: dict[Reason, str] = {
    Reason.NONE: "nothing to say against it",
    Reason.MALFORMED: "the message breaks a rule of its format",
    Reason.UNKNOWN_KEY: "no grant binds the key that signed it",
    Reason.BAD_SIGNATURE: "the signature does not hold",
    Reason.REPLAYED: "its nonce was used before",
    Reason.NOT_YET_VALID: "the grant is not valid yet",
    Reason.EXPIRED: "its time is over",
    Reason.UNKNOWN_JOB: "no such job is known here",
    Reason.APPLICATION_NOT_GRANTED: "the grant does not include this application",
    Reason.AREA_NOT_GRANTED: "the area is not inside the areas of the grant",
    Reason.PRODUCT_NOT_GRANTED: "the grant does not include a product kind it asks for",
    Reason.OVER_JOB_BYTES: "it asks for more bytes than the grant allows a job",
    Reason.OVER_DAILY_BYTES: "the grant's bytes for the day are spent or promised",
    Reason.GRANT_REVOKED: "its grant was revoked",
    Reason.UNKNOWN_APPLICATION: "no such application on board",
    Reason.APPLICATION_DISABLED: "the application is switched off",
    Reason.VERSION_NOT_FLYING: "no version in the range it asks for is on board",
    Reason.PRODUCT_NOT_DECLARED: "the application does not make a product kind it asks for",
    Reason.PARAMETER_UNKNOWN: "the application has no such parameter",
    Reason.PARAMETER_NOT_OFFERED: "the application does not offer that value of a parameter",
    Reason.NEEDS_REFERENCE: "the application needs a reference scene that is not on board",
    Reason.AREA_INVALID: "the area is no simple polygon on one side of the antimeridian",
    Reason.AREA_TOO_LARGE: "the area is larger than one job may ask for",
    Reason.QUEUE_FULL: "too many jobs are waiting",
    Reason.NO_PASS: "no pass over the area in the time it gives",
    Reason.OVER_ENERGY: "its energy budget does not cover, or no longer covers, the work",
    Reason.OVER_COMPUTE: "its compute budget is used up",
    Reason.LOW_BATTERY: "the battery does not allow it in the time it gives",
    Reason.CAPTURE_FAILED: "the camera did not deliver the strip",
    Reason.INFERENCE_FAILED: "the application failed on the strip",
    Reason.PRODUCT_REFUSED: "the product could not be made within the job's terms",
    Reason.TRANSFER_FAILED: "the product could not be sent down",
    Reason.DEADLINE_PASSED: "the deadline passed",
    Reason.CANCELLED_BY_TENANT: "the tenant called it off",
    Reason.AWAITING_RECEIPT: "the product is on the ground, its receipt is not here",
}


class EgressReason(IntEnum):
    """Why the gate let something not pass."""

    NOT_A_DECLARED_TYPE = 1
    CONTENT_INVALID = 2
    RATE_EXCEEDED = 3
    SEAL_INVALID = 4
    UNKNOWN_JOB = 5
    WRONG_STATE = 6
    PRODUCT_NOT_DECLARED = 7
    PRODUCT_NOT_GRANTED = 8
    OVER_BYTE_BUDGET = 9
    OVER_DAILY_BYTES = 10
    UNKNOWN_PRODUCT = 11
    NOT_THE_CHECKED_OCTETS = 12
    NOT_A_LINK_UNIT = 13
    QUEUE_FULL = 14
    AUDIT_UNAVAILABLE = 15
    ALREADY_RELEASED = 16
    NO_RECIPIENT = 17
    RELEASE_INVALID = 18

    @property
    def text(self) -> str:
        """One sentence for people."""
        return _EGRESS_TEXTS[self]


_EGRESS_TEXTS: dict[EgressReason, str] = {
    EgressReason.NOT_A_DECLARED_TYPE: "not of a type that may leave",
    EgressReason.CONTENT_INVALID: "its content breaks its own declaration",
    EgressReason.RATE_EXCEEDED: "its type has used up its rate",
    EgressReason.SEAL_INVALID: "its seal does not hold under this satellite's key",
    EgressReason.UNKNOWN_JOB: "no job on board asked for it",
    EgressReason.WRONG_STATE: "its job is not waiting for a product",
    EgressReason.PRODUCT_NOT_DECLARED: "its application does not declare such a product",
    EgressReason.PRODUCT_NOT_GRANTED: "its job does not ask for such a product",
    EgressReason.OVER_BYTE_BUDGET: "it is larger than the bytes its job has left",
    EgressReason.OVER_DAILY_BYTES: "the tenant's bytes for the day are spent",
    EgressReason.UNKNOWN_PRODUCT: "the gate released no such product",
    EgressReason.NOT_THE_CHECKED_OCTETS: "its octets are not those that the gate checked",
    EgressReason.NOT_A_LINK_UNIT: "not a protocol unit that the link layer made",
    EgressReason.QUEUE_FULL: "too much is waiting to be sent",
    EgressReason.AUDIT_UNAVAILABLE: "it could not be written to the audit log first",
    EgressReason.ALREADY_RELEASED: "its job has its product already",
    EgressReason.NO_RECIPIENT: "its recipient is not the one in the grant",
    EgressReason.RELEASE_INVALID: "its release was not signed by this gate",
}
