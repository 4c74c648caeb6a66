"""Every option of ``serve``, declared once: name, type, default and meaning.

An option ``log_format`` is the flag ``--log-format``, the environment variable
``APIXO_EMULATOR_LOG_FORMAT``, ``log_format`` or ``log-format`` in a config file, and ``log_format=``
in Python. A flag wins over the environment, that over the file, that over the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from apixo_emulator import option_types as types
from apixo_emulator.domain.accounts import KEY, AccountTerms, micros
from apixo_emulator.domain.clock import FASTEST
from apixo_emulator.domain.deliveries import (
    CallbackMode,
    CallbackOptions,
    RewriteRule,
    parse_rewrite,
)
from apixo_emulator.domain.pictures import FetchMode, RefusedSource
from apixo_emulator.domain.randomness import LARGEST_SEED
from apixo_emulator.domain.tasks import Latency, read_latency
from apixo_emulator.domain.text import did_you_mean
from apixo_emulator.journal.secrets import Mask
from apixo_emulator.option_types import SWITCH, Option, option, options_of, read_values
from apixo_emulator.scenarios.file import load_rules
from apixo_emulator.scenarios.rules import Rule
from apixo_emulator.storage import Durability
from apixo_schemas import contract, load_profile, published_contract, use_profile

if TYPE_CHECKING:
    from apixo_emulator.pictures import SourceOptions

DATA_FOLDER = Path(".apixo-emulator")

_RETRIES = ",".join(f"{ms / 1000:g}" for ms in published_contract().callbacks.retry_delays_ms)
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,200}", re.ASCII)
_CERTIFICATES = "certificates in a PEM file"
_PUBLIC_URL = re.compile(r"https?://[^/?#\s]+[^?#\s]*")


class SettingsError(ValueError):
    """Options that cannot be used.

    Each line of the message is about one option: where it stands, what was expected, what was found.
    """


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important lines that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Cors(StrEnum):
    """Which web pages may call the API from a browser."""

    LOOPBACK = "loopback"
    ANY = "any"
    OFF = "off"


def _is_postgres(url: str) -> bool:
    # A byte of a command line that is no UTF-8 is not printable.
    return url.startswith(("postgresql://", "postgres://")) and url.isprintable()


def is_http_url(url: str) -> bool:
    """True for an http(s) URL of a host, without query or fragment."""
    try:
        return bool(_PUBLIC_URL.fullmatch(url)) and url.isprintable() and urlsplit(url).port != 0
    except ValueError:  # of the port, or of an IPv6 address
        return False


def _is_rule_file(path: Path) -> bool:
    load_rules(path)  # raises an error that says what is wrong in it
    return True


def _has_certificates(path: Path) -> bool:
    import ssl  # 30 ms, which a start without TLS does without

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"expected {_CERTIFICATES}, found {str(path)!r}: {error}") from None
    return True


def _check_certificate(chain: Path, key: Path | None) -> None:
    import ssl  # as above

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key, password=lambda: "")  # an encrypted key is refused
    except (OSError, ssl.SSLError) as error:
        files = " and ".join(repr(str(path)) for path in (chain, key) if path)
        expected = f"expected a PEM certificate with its private key, found {files}"
        raise SettingsError(f"--tls-cert: {expected}: {error}") from None


def _is_ready_file(path: Path) -> bool:
    return path.parent.is_dir() and not path.is_dir()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of ``serve``, read: `load_settings` and `Settings.of` make them.

    ``balance`` is in millionths of a USD, ``callback_retries`` in ms. ``accounts`` are the terms of
    keys, from the config file only: on a command line every user of the machine would see the keys.

    Raises:
        SettingsError: Two options contradict each other.
    """

    host: str = option(
        types.text(
            "ADDRESS", "an address such as 127.0.0.1", lambda it: it.strip() and it.isprintable()
        ),
        "address to listen on",
        "127.0.0.1",
    )
    port: int = option(
        types.integer(0, 65535, "PORT"),
        "port to listen on; 0 takes a free one",
        8787,
        short="-p",
        variable="PORT",
    )
    data: Path | None = option(
        types.path("DIR"),
        "where tasks, balances and pictures are kept",
        shown_default=str(DATA_FOLDER),
    )
    ephemeral: bool = option(SWITCH, "keep nothing: state in memory", default=False)
    store: str | None = option(
        types.text("URL", "postgresql://user@host/database", _is_postgres, secret=True),
        "postgresql://… when several processes or machines share the state",
        shown_default="SQLite in --data",
    )
    workers: int = option(types.integer(1, 256), "processes that serve", 1)
    api_key: tuple[str, ...] = option(
        types.several(
            types.text(
                "KEY",
                "a key of printable ASCII without spaces around it",
                KEY.fullmatch,
                secret=True,
            )
        ),
        "accept only this key; repeat for more",
        shown_default="any non-empty key",
    )
    balance: int = option(
        types.parsed("USD", micros), "starting balance of a key that was not seen before", "100"
    )
    latency: Latency = option(
        types.parsed("fast|realistic|MS", read_latency),
        "how long a task takes: about 1.5 s, about 41 s as documented, or so many milliseconds",
        "fast",
    )
    seed: int | None = option(
        types.integer(0, LARGEST_SEED),
        "makes ids and durations reproducible",
        shown_default="random, kept with the data",
    )
    rate: float | None = option(
        types.number(0, FASTEST),
        "how fast time runs: 100 for a hundred times, 0 for a frozen clock",
        shown_default="1",
    )
    scenarios: Path | None = option(
        types.path("FILE", fits=_is_rule_file),
        "rules for failures and delays on demand, TOML or JSON",
    )
    profile: Path | None = option(
        types.path("FILE"),
        "behave as observed: what `apixo-contract learn` wrote about a server",
    )
    world_per_key: bool = option(
        SWITCH,
        "give each API key its own clock, seed, balance, scenarios and journal",
        default=False,
    )
    images: Path | None = option(
        types.path("DIR", "a folder", Path.is_dir),
        "source pictures by host and path: DIR/example.com/input.jpg",
    )
    fetch: FetchMode = option(
        types.choice(FetchMode),
        "which hosts source pictures may be fetched from",
        FetchMode.LOOPBACK,
    )
    refused_sources: RefusedSource = option(
        types.choice(RefusedSource),
        "what a source does whose server answers with an error, hangs or breaks off: what assumption"
        " image.refused says, fail the task, or give a placeholder",
        RefusedSource.ASSUMED,
    )
    fetch_timeout: float = option(
        types.number(0.001, 3600, "S"), "seconds in which a source must be fetched", 10
    )
    source_size: int = option(
        types.integer(1, 4096, "MIB"), "largest file of a source picture, in MiB", 50
    )
    source_memory: int = option(
        types.integer(1, 65_536, "MIB"),
        "memory that decoding a source picture may take, in MiB; a larger one is too large",
        256,
    )
    ca: Path | None = option(
        types.path("FILE", _CERTIFICATES, _has_certificates),
        "also trust this certificate authority (PEM) of callback receivers and source servers",
    )
    callbacks: CallbackMode = option(
        types.choice(CallbackMode),
        "which callback URLs are taken: local receivers too, or public HTTPS only as on live",
        CallbackMode.LOCAL,
    )
    callback_rewrite: tuple[RewriteRule, ...] = option(
        types.several(types.parsed("A=B", parse_rewrite)),
        "call B where the callback URL begins with A, e.g."
        " https://your-server.com=http://127.0.0.1:9000; repeat for more",
    )
    callback_retries: tuple[int, ...] | None = option(
        types.seconds(_RETRIES),
        "seconds to wait before each retry of a callback",
        shown_default=_RETRIES,
    )
    callback_ca: Path | None = option(
        types.path("FILE", _CERTIFICATES, _has_certificates), "the former name of --ca"
    )
    durability: Durability = option(
        types.choice(Durability),
        "what an acknowledged submit survives: the process's death, or a loss of power too",
        Durability.PROCESS,
    )
    public_url: str | None = option(
        types.text("URL", "http(s)://…", is_http_url),
        "origin of result links",
        shown_default="the Host that the caller used",
    )
    control_token: str | None = option(
        types.text(
            "TOKEN",
            "at least 8 letters, digits or any of -._~, so that it fits into a header and a cookie",
            _TOKEN.fullmatch,
            secret=True,
        ),
        "lets callers from other machines control the emulator",
        shown_default="they may not",
    )
    journal_mib: int = option(
        types.integer(1, 65_536, "MIB"),
        "memory of the journal of calls, for all worlds and processes together",
        64,
    )
    uds: Path | None = option(types.path("PATH"), "listen on this Unix socket instead of a port")
    tls_cert: Path | None = option(
        types.path("FILE"), "serve HTTPS with this certificate chain (PEM)"
    )
    tls_key: Path | None = option(
        types.path("FILE"),
        "the private key of --tls-cert (PEM)",
        shown_default="in the file of --tls-cert",
    )
    cors: Cors | None = option(
        types.choice(Cors),
        "which web pages may call the API: those on this machine, all, or none",
        shown_default=published_contract().assumed("cors.preflight"),
    )
    keep_alive: float | None = option(
        types.number(0.001, 86_400, "S"),
        "seconds after which an idle connection is closed",
        shown_default=f"{published_contract().assumed('keep_alive.idle') / 1000:g}",
    )
    header_timeout: float = option(
        types.number(0.001, 86_400, "S"),
        "seconds in which the headers of a request must arrive",
        30,
    )
    ready_file: Path | None = option(
        types.path("PATH", "a path for a file in a folder that exists", _is_ready_file),
        "write the API's base URL here once it answers",
    )
    log_format: LogFormat = option(
        types.choice(LogFormat), "how log lines on stderr look", LogFormat.TEXT
    )
    log_level: LogLevel = option(
        types.choice(LogLevel),
        "what is logged: debug adds each request, info each failed callback attempt",
        LogLevel.INFO,
    )
    quiet: bool = option(SWITCH, "print the ready lines only, no log", default=False)
    accounts: Mapping[str, AccountTerms] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.ephemeral and self.data is not None:
            raise SettingsError("--ephemeral keeps nothing and --data says where: give one of them")
        if self.tls_key is not None and self.tls_cert is None:
            raise SettingsError("--tls-key is the key of a certificate: give --tls-cert too")
        if self.tls_cert is not None:
            _check_certificate(self.tls_cert, self.tls_key)

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Return settings of options as people write them, e.g. ``latency="fast"``; None is the default.

        Raises:
            TypeError: There is no such option.
            SettingsError: A value is none of its option's.
        """
        return cls(**read_options(OPTIONS, given))

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules of the scenario file; without one there are none.

        Raises:
            ScenarioFileError: It cannot be read, or a rule is wrong.
        """
        return () if self.scenarios is None else load_rules(self.scenarios)

    @property
    def ca_file(self) -> Path | None:
        """The certificate authority that outbound calls trust beside the public ones."""
        return self.ca or self.callback_ca

    def source_options(self) -> SourceOptions:
        """Return where source pictures may come from."""
        from apixo_emulator.pictures import SourceOptions

        return SourceOptions(
            images=self.images,
            fetch=self.fetch,
            refused=self.refused_sources,
            ca_file=self.ca_file,
            max_bytes=self.source_size << 20,
            max_memory=self.source_memory << 20,
            timeout_s=self.fetch_timeout,
        )

    def page_policy(self) -> Cors:
        """Return which web pages may call the API: assumption ``cors.preflight``."""
        return self.cors or Cors(contract().assumed("cors.preflight"))

    def idle_timeout_s(self) -> float:
        """Return after how many seconds an idle connection is closed: ``keep_alive.idle``."""
        return self.keep_alive or contract().assumed("keep_alive.idle") / 1000

    def callback_options(self) -> CallbackOptions:
        """Return how callbacks are delivered."""
        if self.callback_retries is None:
            return CallbackOptions(self.callbacks, self.callback_rewrite)
        return CallbackOptions(self.callbacks, self.callback_rewrite, self.callback_retries)


OPTIONS = options_of(Settings)


def read_options(known: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read options that are given by name in Python; None is the default.

    Raises:
        TypeError: There is no such option.
        SettingsError: A value is none of its option's.
    """
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise TypeError(f"unknown option {name!r}; expected one of {', '.join(known)}.{hint}")
    wanted = {name: value for name, value in given.items() if value is not None}
    values, problems = read_values(known, wanted, str)
    check(problems)
    return values


def check(problems: Iterable[object]) -> None:
    """Raise the error of several options; a key that stands in a wrong place is not shown.

    Raises:
        SettingsError: There is a problem.
    """
    if text := "\n".join(map(str, problems)):
        raise SettingsError(Mask().text(text))


_in_force: list[Path] = []


def use_profile_file(path: Path | None) -> None:
    """Apply a profile to this process, once, before anything reads the contract.

    Raises:
        ValueError: The file cannot be read, or is no profile.
    """
    if path is None or path in _in_force:
        return
    try:
        use_profile(load_profile(path))
    except OSError as error:
        raise ValueError(
            f"expected a profile that `apixo-contract learn` wrote, found {str(path)!r}:"
            f" {error.strerror or error}"
        ) from None
    _in_force.append(path)
