"""Facts in SQLite and bytes in files, all in one data folder. No other module knows the tables or the paths."""

import hashlib
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import msgspec

from provider_simulator.facts import Batch, RealtimeCharge, StoredFile

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, org TEXT, created_at REAL, doc BLOB);
CREATE TABLE IF NOT EXISTS batches (
  seq INTEGER PRIMARY KEY, id TEXT UNIQUE, provider TEXT, org TEXT, created_at REAL, live INTEGER,
  gone INTEGER, doc BLOB);
CREATE INDEX IF NOT EXISTS batches_by_age ON batches (provider, org, created_at, seq);
CREATE INDEX IF NOT EXISTS batches_live ON batches (live, provider, org);
CREATE TABLE IF NOT EXISTS realtime (seq INTEGER PRIMARY KEY, provider TEXT, org TEXT, at REAL, doc BLOB);
CREATE INDEX IF NOT EXISTS realtime_by_age ON realtime (provider, org, at);
CREATE TABLE IF NOT EXISTS calls (operation TEXT PRIMARY KEY, times INTEGER);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, doc BLOB);
"""


class Store:
    """Thread-safe: one connection behind one lock, each method one transaction."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "files").mkdir(parents=True, exist_ok=True)
        (folder / "batches").mkdir(exist_ok=True)
        shutil.rmtree(folder / "spool", ignore_errors=True)
        (folder / "spool").mkdir()
        self._lock = threading.RLock()
        self._db = sqlite3.connect(folder / "facts.sqlite", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")  # first: the change to WAL would wait for the disk
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def reset(self) -> None:
        with self._lock:
            for table in ("files", "batches", "realtime", "calls", "settings"):
                self._run(f"DELETE FROM {table}")  # noqa: S608 - the names are the five above
            for name in ("files", "batches"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
                (self.folder / name).mkdir()

    def _run(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # --- paths ---

    def file_path(self, file_id: str) -> Path:
        return self.folder / "files" / file_id

    def batch_folder(self, batch_id: str) -> Path:
        return self.folder / "batches" / batch_id

    def spool(self) -> Path:
        return self.folder / "spool"

    # --- files ---

    def new_id(self, prefix: str, *, table: str) -> str:
        """Ids are drawn from a counter, so that a run repeated is the same run."""
        number = self.count(f"ids:{table}")
        return prefix + hashlib.sha256(f"{prefix}{number}".encode()).hexdigest()[:24]

    def put_file(self, file: StoredFile) -> None:
        self._run(
            "INSERT INTO files (id, org, created_at, doc) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET doc = excluded.doc",
            file.id,
            file.org,
            file.created_at,
            msgspec.json.encode(file),
        )

    def file(self, file_id: str) -> StoredFile | None:
        rows = self._run("SELECT doc FROM files WHERE id = ?", file_id)
        return msgspec.json.decode(rows[0][0], type=StoredFile) if rows else None

    def files(self, org: str | None = None) -> list[StoredFile]:
        """Newest first."""
        rows = self._run(
            "SELECT doc FROM files WHERE org = ? OR ? IS NULL ORDER BY created_at DESC, seq DESC", org, org
        )
        return [msgspec.json.decode(doc, type=StoredFile) for (doc,) in rows]

    # --- batches ---

    def put_batch(self, batch: Batch, *, live: bool) -> None:
        self._run(
            "INSERT INTO batches (id, provider, org, created_at, live, gone, doc) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, live = excluded.live, gone = excluded.gone",
            batch.id,
            batch.provider,
            batch.org,
            batch.created_at,
            live,
            batch.deleted_at is not None,
            msgspec.json.encode(batch),
        )

    def batch(self, batch_id: str) -> Batch | None:
        rows = self._run("SELECT doc FROM batches WHERE id = ?", batch_id)
        return msgspec.json.decode(rows[0][0], type=Batch) if rows else None

    def batch_ids(self, provider: str, org: str, *, now: float) -> list[str]:
        """Newest first; those that arrive later are not there yet."""
        rows = self._run(
            "SELECT id FROM batches WHERE provider = ? AND org = ? AND created_at <= ? "
            "AND NOT gone ORDER BY created_at DESC, seq DESC",
            provider,
            org,
            now,
        )
        return [batch_id for (batch_id,) in rows]

    def unsettled(self, provider: str, org: str) -> list[Batch]:
        """Batches whose outcome is not written, oldest first."""
        rows = self._run(
            "SELECT doc FROM batches WHERE live AND provider = ? AND org = ? ORDER BY created_at, seq", provider, org
        )
        return [msgspec.json.decode(doc, type=Batch) for (doc,) in rows]

    def batches(self) -> list[Batch]:
        """All of them, deleted ones too, oldest first."""
        rows = self._run("SELECT doc FROM batches ORDER BY created_at, seq")
        return [msgspec.json.decode(doc, type=Batch) for (doc,) in rows]

    # --- requests that were answered at real time ---

    def add_realtime(self, charge: RealtimeCharge) -> None:
        self._run(
            "INSERT INTO realtime (provider, org, at, doc) VALUES (?, ?, ?, ?)",
            charge.provider,
            charge.org,
            charge.at,
            msgspec.json.encode(charge),
        )

    def realtime(self, provider: str, org: str | None = None, *, after: float = 0.0) -> list[RealtimeCharge]:
        """Return the charges of an account, or of all, oldest first."""
        rows = self._run(
            "SELECT doc FROM realtime WHERE provider = ? AND (org = ? OR ? IS NULL) AND at > ? ORDER BY at, seq",
            provider,
            org,
            org,
            after,
        )
        return [msgspec.json.decode(doc, type=RealtimeCharge) for (doc,) in rows]

    # --- counts and settings ---

    def count(self, operation: str) -> int:
        rows = self._run(
            "INSERT INTO calls VALUES (?, 1) ON CONFLICT (operation) DO UPDATE SET times = times + 1 RETURNING times",
            operation,
        )
        return int(rows[0][0])

    def calls(self) -> dict[str, int]:
        return dict(self._run("SELECT operation, times FROM calls WHERE operation NOT LIKE 'ids:%' ORDER BY operation"))

    def setting[T](self, name: str, kind: type[T], default: T) -> T:
        rows = self._run("SELECT doc FROM settings WHERE name = ?", name)
        return msgspec.json.decode(rows[0][0], type=kind) if rows else default

    def set(self, name: str, value: object) -> None:
        self._run("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, msgspec.json.encode(value))
