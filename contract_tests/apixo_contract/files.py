"""Files that a user names: found to be usable before money is spent, and written as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apixo_contract.options import UsageError
from apixo_contract.text import one_line


def must_differ(*paths: Path | None) -> None:
    """Find out whether two options name the same file, of which one would replace the other.

    Raises:
        UsageError: They do.
    """
    files = [path for path in paths if path is not None and not is_special(path)]
    for number, path in enumerate(files):
        if path.resolve() in (other.resolve() for other in files[:number]):
            raise UsageError(f"two options name the file {path}. Name another file for one of them")


def must_be_writable(path: Path) -> None:
    """Find out whether a file can be written; a pipe or a device is not touched.

    Raises:
        UsageError: The file cannot be written.
    """
    if is_special(path):
        return
    known = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}. Name another file") from None
    if not known:
        path.unlink()


def read_json(path: Path, wanted: str) -> Any:
    """Return the value of a JSON file.

    Args:
        path: The file.
        wanted: What it ought to hold, e.g. ``a report of apixo-contract``.

    Raises:
        OSError: The file cannot be read.
        UsageError: It is no JSON in UTF-8; the message names it and what it is instead.
    """
    try:
        return json.loads(decode_utf8(path.read_bytes()), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        found = f"no JSON ({one_line(str(error))})"
    raise UsageError(f"{path}: expected {wanted}, found {found}; name another file")


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no number in JSON")


def decode_utf8(content: bytes) -> str:
    """Return a file's content as text.

    Raises:
        UsageError: It is not UTF-8; the message says where.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        found = f"the byte 0x{content[error.start]:02x} at {error.start}"
        raise UsageError(f"expected a text in UTF-8, found {found}; save it so") from None


def write_whole(path: Path, text: str) -> None:
    """Write a file at once, so that a reader never sees half of it.

    Raises:
        UsageError: The file cannot be written; the message names it and the reason.
    """
    # Half a surrogate pair, which JSON can name but UTF-8 cannot hold, becomes an escape again.
    content = text.encode("utf-8", "backslashreplace")
    try:
        if is_special(path):
            path.write_bytes(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        try:
            new.write_bytes(content)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}. Name another file") from None


def is_special(path: Path) -> bool:
    """True if a path is a pipe or a device, which is written as it is and never replaced."""
    return path.exists() and not path.is_file()


def write_all(*writes: Callable[[], object]) -> None:
    """Write everything that can be written.

    Raises:
        BrokenPipeError: The reader of our output has closed it, and all else was written.
        UsageError: Something was not written; the message says what, and why.
    """
    faults: list[Exception] = []
    for write in writes:
        try:
            write()
        except (OSError, UsageError) as error:
            faults.append(error)
    words = [str(fault) for fault in faults if not isinstance(fault, BrokenPipeError)]
    if words:
        raise UsageError("; ".join(words))
    if faults:
        raise faults[0]
