"""The emulator behind one application: opened from its settings, closed at shutdown."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import weakref
from pathlib import Path

from filelock import FileLock, Timeout

from apixo_emulator.pictures import PictureStore
from apixo_emulator.service import Emulator, Options, WorldOptions
from apixo_emulator.service.batcher import Batcher
from apixo_emulator.settings import DATA_FOLDER, Settings, use_profile_file
from apixo_emulator.storage import SqliteStore, Store, StoreError


class StartError(Exception):
    """A server cannot start; the message says why and what to do."""


def open_store(settings: Settings, folder: Path | None) -> Store:
    """Open the store that the settings name; without one that of a folder, or None for memory.

    Raises:
        StoreError: It cannot be used.
    """
    if settings.store is not None:
        try:
            from apixo_emulator.storage.postgres import PostgresStore
        except ImportError as error:
            raise StoreError(
                f"a postgresql:// store needs psycopg 3 with its pool, but: {error}."
                " Install it with: pip install '.[postgres]' in a checkout of the project"
            ) from error
        return PostgresStore(settings.store)
    path = None if folder is None else folder / "state.sqlite3"
    return SqliteStore(path, settings.durability, shared=settings.workers > 1)


class DataFolder:
    """The data folder of one running emulator, a temporary one where it is ephemeral.

    It has a ``.gitignore`` of its own. ``exclusive`` locks it: two emulators must not share the store
    inside. `release` unlocks it and deletes a temporary one.

    Raises:
        StoreError: The folder cannot be used, or another emulator uses it.
    """

    def __init__(self, settings: Settings, *, exclusive: bool) -> None:
        self.temporary = settings.ephemeral
        self._lock: FileLock | None = None
        if self.temporary:
            self.path = Path(tempfile.mkdtemp(prefix="apixo-emulator-"))
            self._delete = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
            return
        self.path = settings.data or DATA_FOLDER
        try:
            # Pictures and callback URLs are private to the user.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", "utf-8")
            if exclusive:
                # Requests, and so threads, open and close an application.
                self._lock = FileLock(self.path / "lock", thread_local=False)
                self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"the data folder {self.path} is in use by another emulator. "
                "Stop that one, or give this one its own with --data, or --ephemeral. Several processes of"
                " one server share it with --workers N (APIXO_EMULATOR_WORKERS=N)."
            ) from None
        except OSError as error:
            raise StoreError(
                f"cannot write to the data folder {self.path}: {error.strerror}. "
                "Choose another with --data, or --ephemeral to keep nothing."
            ) from error

    def release(self) -> None:
        """Unlock the folder, and delete a temporary one."""
        if self._lock is not None:
            self._lock.release()
        if self.temporary:
            self._delete()


class Runtime:
    """Opens and closes the emulator of one application; safe to use from several threads.

    It opens itself when it is first asked for the emulator, so that an application can be called
    without a lifespan. ``shared`` is the data folder that several processes have in common.
    """

    def __init__(self, settings: Settings, shared: Path | None = None) -> None:
        use_profile_file(settings.profile)  # first: it changes the contract
        self.settings = settings
        # Set when the server stops: event streams, which never end by themselves, end then.
        self.stopping = threading.Event()
        self._shared = shared
        self._folder: DataFolder | None = None
        self._opening = threading.RLock()
        self._emulator: Emulator | None = None
        self._pictures: PictureStore | None = None
        self._batcher: tuple[asyncio.AbstractEventLoop, Batcher] | None = None

    @classmethod
    def around(cls, emulator: Emulator, pictures: PictureStore) -> Runtime:
        """Return a runtime whose emulator is open already."""
        runtime = cls(Settings())
        runtime._emulator, runtime._pictures = emulator, pictures
        return runtime

    @property
    def emulator(self) -> Emulator:
        """The emulator.

        Raises:
            StoreError: It cannot be opened.
        """
        return self._emulator or self._open()[0]

    @property
    def pictures(self) -> PictureStore:
        """The store of pictures; raises as `emulator` does."""
        return self._pictures or self._open()[1]

    @property
    def batcher(self) -> Batcher:
        """The batcher of the running event loop; raises as `emulator` does."""
        loop = asyncio.get_running_loop()
        if self._batcher is None or self._batcher[0] is not loop:
            self._batcher = (loop, Batcher(self.emulator))
        return self._batcher[1]

    def _open(self) -> tuple[Emulator, PictureStore]:
        with self._opening:
            if self._emulator is not None and self._pictures is not None:
                return self._emulator, self._pictures
            try:
                return self._opened()
            except BaseException:
                self.close()  # so that the next request can try again
                raise

    def _opened(self) -> tuple[Emulator, PictureStore]:
        settings, folder, in_memory = self.settings, self._shared, False
        alone = folder is None and settings.store is None and settings.workers == 1
        if folder is None:
            self._folder = DataFolder(settings, exclusive=alone)
            folder, in_memory = self._folder.path, self._folder.temporary
        self._pictures = PictureStore(folder / "pictures", settings.source_options())
        store = open_store(settings, None if in_memory else folder)
        if alone:
            store.release_leases()  # the folder's lock says that no other process holds one
        self._emulator = Emulator(store, self._pictures, _options(settings))
        return self._emulator, self._pictures

    def close(self) -> None:
        """Stop the background work and release the store; the next request opens it again."""
        with self._opening:
            if self._batcher is not None:
                self._batcher[1].close()
            if self._pictures is not None:
                self._pictures.close()  # a source that is being fetched must not delay the end
            if self._emulator is not None:
                self._emulator.close()
            if self._folder is not None:
                self._folder.release()
            self._batcher = self._emulator = self._pictures = self._folder = None


def _options(settings: Settings) -> Options:
    return Options(
        latency=settings.latency,
        balance_micros=settings.balance,
        api_keys=frozenset(settings.api_key) or None,
        public_url=settings.public_url.rstrip("/") if settings.public_url else None,
        callbacks=settings.callback_options(),
        worlds=WorldOptions(
            seed=settings.seed,
            rate=settings.rate,
            per_key=settings.world_per_key,
            alone=settings.workers == 1 and settings.store is None,
            rules=settings.rules(),
            known_keys=frozenset((*settings.api_key, *settings.accounts)),
            journal_bytes=settings.journal_mib * 2**20 // settings.workers,
        ),
        accounts=settings.accounts,
    )
