"""The table of jobs: the one place where a journal record becomes state, live and in replay alike."""

from __future__ import annotations

from collections.abc import Iterator

from flight.agent.admission import Limits
from flight.agent.catalogue import Catalogue, Waiting, value_of
from flight.agent.entry import JobEntry, Step, applied, sealed
from flight.agent.errors import ClaimsInvalid
from flight.agent.job import Job
from flight.agent.release import Release
from flight.agent.states import JobState

DAY_S = 86_400
_WAITS = (JobState.SEALED, JobState.DOWNLINKING)


class JobTable:
    """Every job that is known, live or ended, with the indices that the agent asks by. Bounded by `limits`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries: dict[bytes, JobEntry] = {}
        self._live: dict[bytes, JobEntry] = {}
        self._by_product: dict[bytes, bytes] = {}
        self._by_capture: dict[bytes, bytes] = {}
        self._day_bytes: dict[tuple[str, int], int] = {}
        self.catalogue = Catalogue()
        self.ended: dict[JobState, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[JobEntry]:
        return iter(self._entries.values())

    def get(self, job_id: bytes) -> JobEntry | None:
        return self._entries.get(job_id)

    def of_product(self, product_id: bytes) -> JobEntry | None:
        return self._entries.get(self._by_product.get(product_id, b""))

    def of_capture(self, capture_id: bytes) -> JobEntry | None:
        return self._entries.get(self._by_capture.get(capture_id, b""))

    def live(self) -> list[JobEntry]:
        return list(self._live.values())

    def in_state(self, *states: JobState) -> list[JobEntry]:
        """Live jobs in one of these states, the first received first."""
        return [entry for entry in self._live.values() if entry.state in states]

    def nonce_used(self, job: Job) -> bool:
        """Whether the tenant gave this nonce before, for an order that was not refused."""
        return any(
            entry.nonce == job.nonce and entry.tenant == job.tenant
            for entry in self._entries.values()
            if entry.state is not JobState.REFUSED
        )

    def released_bytes(self, tenant: str, now_s: float) -> int:
        """Released for a tenant on the UTC day of `now_s`."""
        return self._day_bytes.get((tenant, int(now_s // DAY_S)), 0)

    def promised_bytes(self, tenant: str) -> int:
        """Budgets of the tenant's live jobs that have no product yet."""
        return sum(
            entry.order.job.byte_budget
            for entry in self._live.values()
            if entry.release is None and entry.order is not None and entry.tenant == tenant
        )

    def take_step(self, step: Step) -> JobEntry:
        """Apply a JOB record. Raises AgentError for one that makes no sense, and is then as it was."""
        before = self._entries.get(step.job_id)
        entry = applied(before, step)
        if before is None:
            self._make_room(step.time_s)
        self._put(entry)
        return entry

    def take_release(self, release: Release) -> JobEntry:
        """Apply a PRODUCT record. Raises AgentError, as take_step()."""
        entry = self._entries.get(release.job_id)
        if entry is None:
            raise ClaimsInvalid("release", "job_id", "of no job that is known")
        entry = sealed(entry, release)
        day = int(release.time_s // DAY_S)
        self._day_bytes = {key: size for key, size in self._day_bytes.items() if key[1] >= day - 1}
        self._day_bytes[entry.tenant, day] = self._day_bytes.get((entry.tenant, day), 0) + release.size
        self._by_product[release.product_id] = entry.job_id
        self._put(entry)
        return entry

    def _put(self, entry: JobEntry) -> None:
        self._entries[entry.job_id] = entry
        if entry.capture_id is not None:
            self._by_capture[entry.capture_id] = entry.job_id
        if entry.live:
            self._live[entry.job_id] = entry
        else:
            self._live.pop(entry.job_id, None)
            self.ended[entry.state] = self.ended.get(entry.state, 0) + 1
        if entry.release is None or entry.order is None:
            return
        release = entry.release
        if entry.state in _WAITS and not entry.sent:
            value = value_of(release.findings, release.confidence)
            priority, since_s = entry.order.job.priority, float(release.time_s)
            self.catalogue.add(Waiting(release.product_id, entry.job_id, priority, value, release.size, since_s))
        else:
            self.catalogue.remove(release.product_id)

    def _make_room(self, now_s: float) -> None:
        """Forget what ended and could not be replayed any more, and the oldest of too many refusals."""
        for entry in [each for each in self if not each.live and each.expires_s < now_s]:
            self._forget(entry)
        refusals = [each for each in self if each.state is JobState.REFUSED]
        for entry in refusals[: max(0, len(refusals) - self._limits.max_known_refusals + 1)]:
            self._forget(entry)

    def _forget(self, entry: JobEntry) -> None:
        del self._entries[entry.job_id]
        if entry.capture_id is not None:
            self._by_capture.pop(entry.capture_id, None)
        if entry.release is not None:
            self._by_product.pop(entry.release.product_id, None)
