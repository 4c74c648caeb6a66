"""The gallery: judges the source of each task and draws its result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from apixo_emulator.domain.pictures import FetchMode, PictureSpec, Verdict, is_data_url, sniff
from apixo_emulator.pictures.cache import BoundedFolder, StoredFile
from apixo_emulator.pictures.enlarging import enlarge
from apixo_emulator.pictures.flight import SingleFlight
from apixo_emulator.pictures.library import UnreadablePicture
from apixo_emulator.pictures.limits import PictureLimits
from apixo_emulator.pictures.notes import Note, Notebook, digest_of
from apixo_emulator.pictures.placeholder import draw_placeholder
from apixo_emulator.pictures.sources import Finding, Sources
from apixo_schemas import contract

# Part of every ETag: to be raised when the same source gives other bytes than before.
_EDITION = "1"


@dataclass(frozen=True, slots=True)
class RenderedPicture:
    """A result on disk: its ``etag`` is strong and quoted, its ``size`` is in bytes."""

    path: Path
    media_type: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """A task's source; without a ``body`` the ``reason`` says why there is none."""

    body: bytes
    media_type: str
    reason: str


class Gallery:
    """Looks at sources and renders results, both kept in one folder below a bound.

    All methods may be called from many threads, and several processes may share the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        images: Path | None = None,
        fetch: FetchMode = FetchMode.LOOPBACK,
        limits: PictureLimits = PictureLimits(),  # noqa: B008 - it is immutable
    ) -> None:
        self._sources = Sources(images, fetch, limits)
        self._notebook = Notebook(folder / "sources", limits.kept_source_bytes)
        self._results = BoundedFolder(folder / "results", limits.kept_result_bytes)
        self._looks: SingleFlight[tuple[Note, bytes]] = SingleFlight()
        self._renders: SingleFlight[StoredFile] = SingleFlight()
        self._turn = threading.BoundedSemaphore(limits.renders_at_once)

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Judge a source by its URL alone, in microseconds; None means that `check` must look."""
        return self._sources.quick_verdict(image_url)

    def check(self, task_id: str, image_url: str) -> Verdict:
        """Look at a task's source and keep it, so that it can be drawn when it has gone.

        Blocks, for as long as a fetch may take at most (`PictureLimits.fetch_seconds`). The same
        task gets the same verdict again, also after a restart.
        """
        return self._note(task_id, image_url).verdict

    def render(self, spec: PictureSpec) -> RenderedPicture:
        """Give a task's result: its source enlarged, or a placeholder that says why it is not.

        Blocks while it is rendered, which happens once, however many threads ask. Nothing that a
        task may hold makes it raise; a full disk does (`OSError`). The file can be evicted as soon
        as this returns: whoever then fails to open it calls again.
        """
        note = self._note(spec.task_id, spec.image_url)
        name = _result_name(spec, note)
        found = self._results.find(name)
        stored = found or self._renders.run(name, lambda: self._drawn(spec, note, None))
        media_type = contract().formats[spec.output_format].media_type
        return RenderedPicture(stored.path, media_type, f'"{stored.path.stem}"', stored.size)

    def source(self, spec: PictureSpec) -> SourcePicture:
        """Give a task's source as it was kept; one that is not at hand is not fetched for this.

        Blocks while it is read from the disk.
        """
        if is_data_url(spec.image_url) or self.quick_verdict(spec.image_url) is not None:
            finding = self._sources.look(spec.image_url)
            return SourcePicture(finding.body, sniff(finding.body) or "", finding.reason)
        note = self._notebook.note_on(digest_of(spec.task_id, spec.image_url))
        body = self._notebook.source(note) if note and note.digest else None
        if note is None or body is None:
            reason = note.reason if note and note.reason else "the source is not at hand"
            return SourcePicture(b"", "", reason)
        return SourcePicture(body, sniff(body) or "", "")

    def _note(self, task_id: str, image_url: str) -> Note:
        if self.quick_verdict(image_url) is not None:
            finding = self._sources.look(image_url)
            return Note(finding.verdict, finding.reason)
        task_key = digest_of(task_id, image_url)
        note = self._notebook.note_on(task_key)
        return note or self._look(task_key, image_url)[0]

    def _look(self, task_key: str, image_url: str) -> tuple[Note, bytes]:
        def look() -> tuple[Note, bytes]:
            finding = self._sources.look(image_url)
            return self._notebook.keep(task_key, finding), finding.body

        return self._looks.run(task_key, look)

    def _drawn(self, spec: PictureSpec, note: Note, body: bytes | None) -> StoredFile:
        """Draw what a note says; where that cannot be done any more, draw why."""
        name = _result_name(spec, note)
        if found := self._results.find(name):
            return found
        if note.verdict is not Verdict.USABLE:
            return self._written(name, lambda to: draw_placeholder(spec, note.reason, to))
        task_key = digest_of(spec.task_id, spec.image_url)
        body = body or self._notebook.source(note)
        if body is None:  # it has been evicted: fetched anew, it may have changed or be gone
            return self._drawn(spec, *self._look(task_key, spec.image_url))
        try:
            return self._written(name, partial(_enlarge, spec, body))
        except UnreadablePicture as error:
            finding = Finding(Verdict.ABSENT, str(error))
            return self._drawn(spec, self._notebook.keep(task_key, finding), None)

    def _written(self, name: str, fill: Callable[[Path], None]) -> StoredFile:
        with self._turn:
            return self._results.write(name, fill)


def _result_name(spec: PictureSpec, note: Note) -> str:
    shown = (note.digest,) if note.digest else (spec.task_id, spec.image_url, note.reason)
    stem = digest_of(_EDITION, spec.resolution, spec.output_format, *shown)
    return f"{stem}.{contract().formats[spec.output_format].extension}"


def _enlarge(spec: PictureSpec, body: bytes, to: Path) -> None:
    enlarge(body, resolution=spec.resolution, output_format=spec.output_format, to=to)
