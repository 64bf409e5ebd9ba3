"""What the gateway refuses, and why. The API prints code and text; the command prints them too."""

from __future__ import annotations

from flight.agent.reasons import Reason
from ground_test.errors import GroundError


class GatewayError(GroundError):
    """Base of every error of the gateway."""

    code = "gateway_error"


class OrderInvalid(GatewayError, ValueError):
    """An order that is not one: a field is missing, mistyped or says something else than the signed job."""

    code = "order_invalid"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field, self.detail = field, detail


class OrderRefused(GatewayError, PermissionError):
    """A well-formed order that its signature, its grant or the applications do not allow. reason: as on board."""

    code = "order_refused"

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason.name.lower()


class ReceptionFailed(GatewayError, ValueError):
    """A file that came down is not the product of an order that is waiting for one."""

    code = "reception_failed"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name, self.detail = name, detail


class GatewayUnreachable(GatewayError, ConnectionError):
    """Nothing answers as a gateway would at that address."""

    code = "gateway_unreachable"
    exit_status = 2

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(f"{url}: {detail}")
        self.url, self.detail = url, detail


class GatewayRefused(GatewayError):
    """The gateway answered and said no."""

    code = "gateway_refused"

    def __init__(self, status: int, reason: str, description: str) -> None:
        super().__init__(f"the gateway says {status} {reason}: {description}")
        self.status, self.reason, self.description = status, reason, description


class PortTaken(GatewayError, OSError):
    """The gateway cannot bind its HTTP port."""

    code = "port_taken"
    exit_status = 2

    def __init__(self, port: int, detail: str) -> None:
        super().__init__(f"port {port}: {detail} (--port 0 picks a free one)")
        self.port, self.detail = port, detail
