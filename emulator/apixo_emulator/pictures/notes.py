"""What was found out about each task's source, and the sources themselves, kept on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from apixo_emulator.domain.pictures import Verdict
from apixo_emulator.pictures.cache import BoundedFolder
from apixo_emulator.pictures.sources import Finding


@dataclass(frozen=True, slots=True)
class Note:
    """A verdict, why it is not usable, and the digest of the source if it is."""

    verdict: Verdict
    reason: str = ""
    digest: str = ""


class Notebook:
    """Notes by task, sources by content: many tasks on one picture keep it once."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._files = BoundedFolder(folder, max_bytes)

    def note_on(self, task_key: str) -> Note | None:
        """Give what is known of a task's source; None if nothing is, or no longer."""
        text = self._files.read(_file_name(task_key))
        try:
            return _read(text) if text else None
        except (
            ValueError,
            TypeError,
            KeyError,
        ):  # a file that a crash of the machine left in pieces
            return None

    def keep(self, task_key: str, finding: Finding) -> Note:
        """Keep a finding, with its source."""
        digest = ""
        if finding.body:
            digest = digest_of(finding.body)
            if self._files.find(digest) is None:
                self._files.write(digest, lambda path: _fill(path, finding.body))
        note = Note(finding.verdict, finding.reason, digest)
        text = json.dumps({"verdict": note.verdict, "reason": note.reason, "digest": digest})
        self._files.write(_file_name(task_key), lambda path: _fill(path, text.encode()))
        return note

    def source(self, note: Note) -> bytes | None:
        """Give a kept source; None if it has been evicted."""
        body = self._files.read(note.digest)
        return body if body is not None and digest_of(body) == note.digest else None


def digest_of(*parts: str | bytes) -> str:
    """Give 32 hex digits that stand for a content, or for a list of texts."""
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def _file_name(task_key: str) -> str:
    return f"{task_key}.json"


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _read(text: bytes) -> Note:
    fields = json.loads(text)
    return Note(Verdict(fields["verdict"]), fields["reason"], fields["digest"])
