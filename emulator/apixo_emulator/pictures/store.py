"""The picture store: sources, the verdicts on them, and results, on disk."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Generic, TypeVar

from apixo_emulator.domain.pictures import PictureSpec, Verdict, is_data_url
from apixo_emulator.pictures.formats import UnreadablePicture
from apixo_emulator.pictures.render import draw_placeholder, enlarge
from apixo_emulator.pictures.sources import Finding, SourceOptions, Sources
from apixo_schemas import contract

T = TypeVar("T")
_MIB = 1 << 20
# Threads that decode a picture at the same time; an 8k WebP needs 180 MiB.
_RENDERS_AT_ONCE = 2
# Part of every ETag. Increase it when rendering changes the bytes of a result.
_EDITION = "4"
_BLOCK = 4096  # bytes: a small file takes a block of the disk
_SLACK = 16  # the folder is measured again after each sixteenth of its bound has been written
_ABANDONED_S = 3600.0  # no file takes this long to write: its writer has died
_TEMPORARY = ".tmp"


@dataclass(frozen=True, slots=True)
class RenderedPicture:
    """A result on disk; its ``etag`` is strong and quoted."""

    path: Path
    media_type: str
    etag: str


class PictureStore:
    """Checks sources and renders results; keeps both in one folder.

    Beyond ``source_bytes`` of sources one is fetched again when it is rendered, beyond
    ``result_bytes`` of results one is rendered again when it is asked for. All methods may be called from many threads, and several processes may share the folder.
    """

    def __init__(
        self,
        folder: Path,
        sources: SourceOptions = SourceOptions(),  # noqa: B008 - it is immutable
        *,
        source_bytes: int = 256 * _MIB,
        result_bytes: int = 1024 * _MIB,
    ) -> None:
        # Held while a picture is decoded.
        self._rendering = threading.BoundedSemaphore(_RENDERS_AT_ONCE)
        self._sources = Sources(sources, self._rendering)
        self._kept = BoundedFolder(folder / "sources", source_bytes)
        self._results = BoundedFolder(folder / "results", result_bytes)
        self._checks: SingleFlight[tuple[_Record, bytes]] = SingleFlight()
        self._renders: SingleFlight[Path] = SingleFlight()

    def close(self) -> None:
        """End the fetches under way; calls that wait for one raise `OutboundStopped`."""
        self._sources.close()

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Return the verdict by the URL alone, in microseconds; None if `check` is needed."""
        return self._sources.quick_verdict(image_url)

    def check(self, task_id: str, image_url: str) -> Verdict:
        """Find a task's source and keep it for rendering; return the verdict.

        Blocks, at most for `SourceOptions.timeout_s`. The same task gets the same verdict again, also
        after a restart.
        """
        return self._record(task_id, image_url).verdict

    def render(self, spec: PictureSpec) -> RenderedPicture:
        """Return a task's result: its source enlarged, or a placeholder that says why not.

        Blocks while it is rendered, once for all threads. Only a full disk makes it raise, `OSError`.
        The file can be evicted right after this returns: a caller that cannot open it calls again.
        """
        record = self._record(spec.task_id, spec.image_url)
        name = _result_name(spec, record)
        found = self._results.find(name)
        path = found or self._renders.run(name, lambda: self._rendered(spec, record, None))
        media_type = contract().formats[spec.output_format].media_type
        return RenderedPicture(path, media_type, f'"{path.stem}"')

    def source(self, spec: PictureSpec) -> Finding:
        """Return a task's source as it was kept; it is not fetched again. Blocks while it is read."""
        if is_data_url(spec.image_url) or self.quick_verdict(spec.image_url) is not None:
            return self._sources.find(spec.image_url)
        record = self._known(digest_of(spec.task_id, spec.image_url))
        body = self._source(record) if record and record.digest else None
        if record is None or body is None:
            reason = record.reason if record else ""
            return Finding(Verdict.ABSENT, reason or "the source is not kept any more")
        return Finding(record.verdict, body=body)

    # Sources: one record for each task; pictures by content, so that tasks share them

    def _record(self, task_id: str, image_url: str) -> _Record:
        if self.quick_verdict(image_url) is not None:
            finding = self._sources.find(image_url)
            return _Record(finding.verdict, finding.reason)
        key = digest_of(task_id, image_url)
        return self._known(key) or self._found(key, image_url)[0]

    def _found(self, key: str, image_url: str) -> tuple[_Record, bytes]:
        def find() -> tuple[_Record, bytes]:
            finding = self._sources.find(image_url)
            return self._keep(key, finding), finding.body

        return self._checks.run(key, find)

    def _known(self, key: str) -> _Record | None:
        """Return the record of a task's source; None if there is none."""
        text = self._kept.read(f"{key}.json")
        try:
            fields = json.loads(text or b"")
            return _Record(Verdict(fields["verdict"]), fields["reason"], fields["digest"])
        except (ValueError, TypeError, KeyError):  # damaged by a crash of the machine
            return None

    def _keep(self, key: str, finding: Finding) -> _Record:
        digest = digest_of(finding.body) if finding.body else ""
        if digest and self._kept.find(digest) is None:
            self._kept.write(digest, lambda path: path.write_bytes(finding.body))
        record = _Record(finding.verdict, finding.reason, digest)
        text = json.dumps(asdict(record))
        self._kept.write(f"{key}.json", lambda path: path.write_text(text))
        return record

    def _source(self, record: _Record) -> bytes | None:
        """Return a kept source; None if it has been evicted."""
        body = self._kept.read(record.digest)
        return body if body is not None and digest_of(body) == record.digest else None

    # Results

    def _rendered(self, spec: PictureSpec, record: _Record, body: bytes | None) -> Path:
        """Render the source of a record, or a placeholder."""
        name = _result_name(spec, record)
        if found := self._results.find(name):
            return found
        if record.verdict is not Verdict.USABLE:
            return self._written(name, lambda to: draw_placeholder(spec, record.reason, to))
        key = digest_of(spec.task_id, spec.image_url)
        body = body or self._source(record)
        if body is None:  # it was evicted; the server may have another one now, or none
            return self._rendered(spec, *self._found(key, spec.image_url))
        try:
            return self._written(name, partial(enlarge, spec, body))
        except UnreadablePicture as error:
            finding = Finding(Verdict.ABSENT, str(error))
            return self._rendered(spec, self._keep(key, finding), None)

    def _written(self, name: str, fill: Callable[[Path], object]) -> Path:
        with self._rendering:
            return self._results.write(name, fill)


@dataclass(frozen=True, slots=True)
class _Record:
    """The verdict on a task's source; ``digest`` is the name of a usable source."""

    verdict: Verdict
    reason: str = ""
    digest: str = ""


def digest_of(*parts: str | bytes) -> str:
    """Return the hash of a content, or of a list of texts, as 32 hex digits."""
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def _result_name(spec: PictureSpec, record: _Record) -> str:
    shown = (record.digest,) if record.digest else (spec.task_id, spec.image_url, record.reason)
    stem = digest_of(_EDITION, spec.resolution, spec.output_format, *shown)
    return f"{stem}.{contract().formats[spec.output_format].extension}"


# Folders


class BoundedFolder:
    """Keeps files by name below a bound; the least recently used ones are evicted.

    Files appear complete or not at all (`os.replace`), and the content of a name never changes. So
    processes need no lock: at worst two of them write the same file.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._since_measured: int | None = None

    def find(self, name: str) -> Path | None:
        """Find a file and mark it as used; None if it was never written or has been evicted."""
        path = self._folder / name
        try:
            status = path.stat()
            # The access time is the time of the last use. The modification time stays.
            os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))
        except OSError:
            return None
        return path

    def read(self, name: str) -> bytes | None:
        """Read a file and mark it as used; None if there is none."""
        path = self.find(name)
        try:
            return path.read_bytes() if path else None
        except OSError:
            return None

    def write(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Call ``fill`` to write a file, give it its name, and evict files above the bound.

        This call never evicts the new file.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        temporary = self._folder / f"{name}.{os.getpid()}.{secrets.token_hex(4)}{_TEMPORARY}"
        try:
            fill(temporary)
            size = temporary.stat().st_size
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        with self._lock:
            if self._since_measured is not None:
                self._since_measured += _on_disk(size)
            if self._since_measured is None or self._since_measured >= self._max_bytes // _SLACK:
                self._since_measured = 0
                self._evict(path)
        return path

    def _evict(self, new: Path) -> None:
        """Delete the least recently used files until there is room for ``_SLACK`` of the bound."""
        found = sorted(self._measure())
        excess = sum(size for _, size, _ in found) - self._max_bytes * (_SLACK - 1) // _SLACK
        for _, size, path in found:
            if excess <= 0:
                return
            if path == new:
                continue
            with suppress(OSError):  # a folder that is none of ours
                path.unlink(missing_ok=True)
                excess -= size

    def _measure(self) -> list[tuple[int, int, Path]]:
        """Return last use in ns, size on disk in bytes and path of each complete file."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:  # another process has just evicted it
                    continue
                if not entry.name.endswith(_TEMPORARY):
                    found.append((status.st_atime_ns, _on_disk(status.st_size), Path(entry.path)))
                elif status.st_mtime < time.time() - _ABANDONED_S:
                    Path(entry.path).unlink(missing_ok=True)
        return found


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


class SingleFlight(Generic[T]):
    """Runs one call of a name at a time; simultaneous callers get its result or its error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Future[T]] = {}

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Return the result of the work, or of the same work that is under way."""
        with self._lock:
            running = self._running.get(name)
            future = running or self._running.setdefault(name, Future())
        if running is None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised again, in every caller
                future.set_exception(error)
            with self._lock:
                del self._running[name]
        return future.result()
