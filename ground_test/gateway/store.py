"""What the gateway must not forget: orders, their history, what goes up, what came down. SQLite, one file.

Every method is one transaction, durable when it returns; all are safe to call from any thread and to repeat.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flight.agent.states import TERMINAL
from flight.link.apids import Apid

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders(
  id BLOB PRIMARY KEY, application TEXT NOT NULL, created_s REAL NOT NULL, tenant TEXT NOT NULL,
  grant_id BLOB NOT NULL, request TEXT NOT NULL, signed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS statuses(
  number INTEGER PRIMARY KEY, order_id BLOB NOT NULL, time_s REAL NOT NULL, code TEXT NOT NULL,
  state INTEGER NOT NULL, reason INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS uplink(
  number INTEGER PRIMARY KEY, subject BLOB NOT NULL, apid INTEGER NOT NULL, octets BLOB NOT NULL, after BLOB,
  answered INTEGER NOT NULL DEFAULT 0, UNIQUE(subject, apid));
CREATE TABLE IF NOT EXISTS alerts(order_id BLOB PRIMARY KEY, time_s REAL NOT NULL, host_s REAL NOT NULL, content TEXT);
CREATE TABLE IF NOT EXISTS products(
  id BLOB PRIMARY KEY, order_id BLOB NOT NULL, time_s REAL NOT NULL, host_s REAL NOT NULL, content TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS statuses_of ON statuses(order_id, number);
CREATE INDEX IF NOT EXISTS products_of ON products(order_id);
"""
COMPLETED = "completed"
ENDED = (COMPLETED, "failed", "rejected", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One entry of an order's history. state: 0 for what the gateway itself did."""

    time_s: float
    code: str
    state: int
    reason: int


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as it was taken."""

    id: bytes
    application: str
    created_s: float
    tenant: str
    grant_id: bytes
    request: dict[str, Any]
    signed: bytes


@dataclass(frozen=True, slots=True)
class UplinkRow:
    """One item that goes up until it is answered. after: the grant that must have been answered first."""

    number: int
    subject: bytes
    apid: int
    octets: bytes


class GatewayStore:
    """The database. Raises sqlite3.Error when the disk does."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=FULL")
        self._base.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._base.close()

    # --- orders ------------------------------------------------------------------------------------------------------

    def add_order(self, order: OrderRow, uplink: list[tuple[bytes, int, bytes, bytes | None]]) -> bool:
        """Take an order and queue what goes up for it, together. False when it was there already."""
        with self._transaction() as base:
            row = (order.id, order.application, order.created_s, order.tenant, order.grant_id)
            added = base.execute(
                "INSERT OR IGNORE INTO orders VALUES(?,?,?,?,?,?,?)", (*row, json.dumps(order.request), order.signed)
            ).rowcount
            if added:
                _add_status(base, order.id, StatusRow(order.created_s, "received", 0, 0))
                for item in uplink:
                    base.execute("INSERT OR IGNORE INTO uplink(subject,apid,octets,after) VALUES(?,?,?,?)", item)
            return bool(added)

    def order(self, order_id: bytes) -> OrderRow | None:
        found = self._rows("SELECT * FROM orders WHERE id=?", (order_id,))
        return _order(found[0]) if found else None

    def orders(self, limit: int = 1000) -> list[OrderRow]:
        """Newest first."""
        return [_order(row) for row in self._rows("SELECT * FROM orders ORDER BY rowid DESC LIMIT ?", (limit,))]

    def order_of_short_id(self, short: bytes) -> OrderRow | None:
        """The order whose id begins so; None when none or several do."""
        found = self._rows("SELECT * FROM orders WHERE substr(id,1,?)=? LIMIT 2", (len(short), short))
        return _order(found[0]) if len(found) == 1 else None

    def promised_bytes(self, tenant: str, day: int) -> int:
        """Byte budgets of the tenant's orders taken on that UTC day."""
        rows = self._rows("SELECT * FROM orders WHERE tenant=? AND CAST(created_s/86400 AS INTEGER)=?", (tenant, day))
        return sum(int(_order(row).request["byte_budget"]) for row in rows)

    def add_status(self, order_id: bytes, status: StatusRow) -> bool:
        """Go on with an order's history. What ended does not begin again, what is known is not repeated: False."""
        with self._transaction() as base:
            newest = _newest_code(base, order_id)
            if newest in ENDED and status.code != newest:
                return False
            return _add_status(base, order_id, status)

    def statuses(self, order_id: bytes) -> list[StatusRow]:
        """Oldest first."""
        rows = self._rows("SELECT time_s,code,state,reason FROM statuses WHERE order_id=? ORDER BY number", (order_id,))
        return [StatusRow(*row) for row in rows]

    # --- uplink ------------------------------------------------------------------------------------------------------

    def unanswered(self) -> list[UplinkRow]:
        """Items that may go up now, oldest first: what waits for a grant's answer is left out."""
        rows = self._rows(
            "SELECT number,subject,apid,octets FROM uplink WHERE answered=0 AND (after IS NULL OR after NOT IN"
            " (SELECT subject FROM uplink WHERE answered=0)) ORDER BY number"
        )
        return [UplinkRow(*row) for row in rows]

    def answer(self, subject: bytes, apid: int) -> bool:
        """The item needs not go up again. False when it is not waiting."""
        with self._transaction() as base:
            changed = base.execute(
                "UPDATE uplink SET answered=1 WHERE subject=? AND apid=? AND answered=0", (subject, apid)
            ).rowcount
            return bool(changed)

    def ask_again(self, order_id: bytes) -> None:
        """The grant of an order, and then its job, go up once more."""
        with self._transaction() as base:
            base.execute(
                "UPDATE uplink SET answered=0 WHERE (subject=? AND apid=?) OR (apid=? AND subject IN"
                " (SELECT grant_id FROM orders WHERE id=?))",
                (order_id, int(Apid.JOB), int(Apid.GRANT), order_id),
            )

    def subject_of_short_id(self, short: bytes, apid: int) -> bytes | None:
        """The subject of the uplink item whose id begins so."""
        found = self._rows(
            "SELECT subject FROM uplink WHERE apid=? AND substr(subject,1,?)=? LIMIT 1", (apid, len(short), short)
        )
        return found[0][0] if found else None

    def waiting_under(self, grant_id: bytes) -> list[bytes]:
        """Orders under a grant whose jobs have not been answered."""
        rows = self._rows(
            "SELECT id FROM orders JOIN uplink ON subject=id WHERE grant_id=? AND apid=? AND answered=0",
            (grant_id, int(Apid.JOB)),
        )
        return [row[0] for row in rows]

    def live_jobs(self) -> list[tuple[bytes, bytes]]:
        """(id, signed job) of orders that the satellite has answered and that have not ended in its eyes."""
        rows = self._rows(
            "SELECT id, signed FROM orders WHERE EXISTS(SELECT 1 FROM statuses WHERE order_id=id AND state>0) AND NOT"
            " EXISTS(SELECT 1 FROM statuses WHERE order_id=id AND state IN (SELECT value FROM json_each(?)))"
            " ORDER BY rowid",
            (json.dumps(sorted(TERMINAL)),),
        )
        return [(row[0], row[1]) for row in rows]

    # --- what came down ----------------------------------------------------------------------------------------------

    def add_alert(self, order_id: bytes, time_s: float, host_s: float, content: dict[str, Any]) -> bool:
        """Keep an order's first alert."""
        with self._transaction() as base:
            row = (order_id, time_s, host_s, json.dumps(content))
            return bool(base.execute("INSERT OR IGNORE INTO alerts VALUES(?,?,?,?)", row).rowcount)

    def alert(self, order_id: bytes) -> dict[str, Any] | None:
        """content and the times it was received at."""
        rows = self._rows("SELECT content,time_s,host_s FROM alerts WHERE order_id=?", (order_id,))
        return {**json.loads(rows[0][0]), "received_s": rows[0][1], "received_host_s": rows[0][2]} if rows else None

    def take_product(
        self,
        product_id: bytes,
        order_id: bytes,
        time_s: float,
        host_s: float,
        content: dict[str, Any],
        receipt: bytes,
    ) -> bool:
        """A product is on the ground: it, the order's completion and the receipt that goes up, together or not at all.

        False when it was there already.
        """
        with self._transaction() as base:
            row = (product_id, order_id, time_s, host_s, json.dumps(content))
            if not base.execute("INSERT OR IGNORE INTO products VALUES(?,?,?,?,?)", row).rowcount:
                return False
            if _newest_code(base, order_id) not in ENDED:
                _add_status(base, order_id, StatusRow(time_s, COMPLETED, 0, 0))
            base.execute(
                "INSERT OR IGNORE INTO uplink(subject,apid,octets) VALUES(?,?,?)",
                (order_id, int(Apid.RECEIPT), receipt),
            )
            return True

    def products(self, order_id: bytes) -> list[dict[str, Any]]:
        """content of each product of an order, with `id` and the times it was received at."""
        rows = self._rows("SELECT content,id,time_s,host_s FROM products WHERE order_id=? ORDER BY rowid", (order_id,))
        return [
            {**json.loads(content), "id": product_id.hex(), "received_s": time_s, "received_host_s": host_s}
            for content, product_id, time_s, host_s in rows
        ]

    def has_product(self, product_id: bytes) -> bool:
        return bool(self._rows("SELECT 1 FROM products WHERE id=?", (product_id,)))

    # --- inside ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            return self._base.execute(query, values).fetchall()


def _order(row: Any) -> OrderRow:
    return OrderRow(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]), row[6])


def _newest_code(base: sqlite3.Connection, order_id: bytes) -> str | None:
    found = base.execute("SELECT code FROM statuses WHERE order_id=? ORDER BY number DESC LIMIT 1", (order_id,))
    row = found.fetchone()
    return None if row is None else str(row[0])


def _add_status(base: sqlite3.Connection, order_id: bytes, status: StatusRow) -> bool:
    newest = base.execute(
        "SELECT code,state,reason FROM statuses WHERE order_id=? ORDER BY number DESC LIMIT 1", (order_id,)
    ).fetchone()
    if newest == (status.code, status.state, status.reason):
        return False
    row = (order_id, status.time_s, status.code, status.state, status.reason)
    base.execute("INSERT INTO statuses(order_id,time_s,code,state,reason) VALUES(?,?,?,?,?)", row)
    return True
