"""Every option of ``serve``, declared once: flag, environment variable, default and meaning.

The command line, the environment and the README's table are made from these fields.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apixo_emulator.domain.callbacks import CallbackMode, CallbackOptions
from apixo_emulator.domain.clock import ClockState
from apixo_emulator.domain.latency import Latency, read_latency
from apixo_emulator.domain.limits import AccountTerms
from apixo_emulator.domain.money import micros
from apixo_emulator.domain.nearest import shown
from apixo_emulator.domain.pictures import FetchMode
from apixo_emulator.domain.rewriting import parse_rewrite
from apixo_emulator.domain.seeds import checked_seed
from apixo_emulator.scenarios.rules import Rule
from apixo_emulator.storage import Durability
from apixo_schemas import load_profile, published_contract, use_profile

DATA_FOLDER = Path(".apixo-emulator")
_HIGHEST_PORT = 65535
_LONGEST_TIMEOUT_S = 86_400
_RETRIES = ",".join(f"{ms / 1000:g}" for ms in published_contract().callbacks.retry_delays_ms)
_POSTGRES = ("postgresql://", "postgres://")
_KEY = re.compile(r"[!-~]([ -~]*[!-~])?", re.ASCII)
_PUBLIC_URL = re.compile(r"https?://[^/?#\s]+[^?#\s]*")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,200}", re.ASCII)
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,3})?", re.ASCII)


def _option(
    default: Any, *flags: str, env: tuple[str, ...] = (), text: str, metavar: str = ""
) -> Any:
    notes: Mapping[str, Any] = {"flags": flags, "env": env, "text": text, "metavar": metavar}
    return field(default=default, metadata=notes)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of ``serve``, checked.

    Raises:
        ValueError: A value is out of range, or two options contradict each other.
    """

    host: str = _option(
        "127.0.0.1", "--host", env=("APIXO_EMULATOR_HOST",), text="address to listen on"
    )
    port: int = _option(
        8787,
        "--port",
        "-p",
        env=("APIXO_EMULATOR_PORT", "PORT"),
        text="port to listen on; 0 takes a free one",
    )
    data: Path | None = _option(
        None,
        "--data",
        env=("APIXO_EMULATOR_DATA",),
        metavar="DIR",
        text=f"where tasks, balances and pictures are kept [default: {DATA_FOLDER}]",
    )
    ephemeral: bool = _option(False, "--ephemeral", text="keep nothing: state in memory")  # noqa: FBT003 - a default
    store: str | None = _option(
        None,
        "--store",
        env=("APIXO_EMULATOR_STORE",),
        metavar="URL",
        text="postgresql://… when several processes or machines share the state"
        " [default: SQLite in --data]",
    )
    workers: int = _option(
        1, "--workers", env=("APIXO_EMULATOR_WORKERS",), metavar="N", text="processes that serve"
    )
    api_key: tuple[str, ...] = _option(
        (),
        "--api-key",
        env=("APIXO_EMULATOR_API_KEY",),
        metavar="KEY",
        text="accept only this key; repeat for more [default: any non-empty key]",
    )
    balance: str = _option(
        "100",
        "--balance",
        env=("APIXO_EMULATOR_BALANCE",),
        metavar="USD",
        text="starting balance of a key that was not seen before",
    )
    latency: str = _option(
        "fast",
        "--latency",
        env=("APIXO_EMULATOR_LATENCY",),
        metavar="fast|realistic|MS",
        text="how long a task takes: about 1.5 s, about 41 s as documented, or so many milliseconds",
    )
    seed: int | None = _option(
        None,
        "--seed",
        env=("APIXO_EMULATOR_SEED",),
        metavar="N",
        text="makes ids and durations reproducible [default: random, kept with the data]",
    )
    rate: float | None = _option(
        None,
        "--rate",
        env=("APIXO_EMULATOR_RATE",),
        metavar="X",
        text="how fast time runs: 100 for a hundred times, 0 for a frozen clock [default: 1]",
    )
    scenarios: Path | None = _option(
        None,
        "--scenarios",
        env=("APIXO_EMULATOR_SCENARIOS",),
        metavar="FILE",
        text="rules for failures and delays on demand, TOML or JSON",
    )
    profile: Path | None = _option(
        None,
        "--profile",
        env=("APIXO_EMULATOR_PROFILE",),
        metavar="FILE",
        text="behave as observed: what `apixo-contract learn` wrote about a server",
    )
    world_per_key: bool = _option(
        False,  # noqa: FBT003 - a default
        "--world-per-key",
        env=("APIXO_EMULATOR_WORLD_PER_KEY",),
        text="give each API key its own clock, seed, balance, scenarios and journal",
    )
    images: Path | None = _option(
        None,
        "--images",
        env=("APIXO_EMULATOR_IMAGES",),
        metavar="DIR",
        text="source pictures by host and path: DIR/example.com/input.jpg",
    )
    fetch: FetchMode = _option(
        FetchMode.LOOPBACK,
        "--fetch",
        env=("APIXO_EMULATOR_FETCH",),
        metavar="loopback|public",
        text="which hosts source pictures may be fetched from",
    )
    callbacks: CallbackMode = _option(
        CallbackMode.LOCAL,
        "--callbacks",
        env=("APIXO_EMULATOR_CALLBACKS",),
        metavar="local|strict",
        text="which callback URLs are taken: local receivers too, or public HTTPS only as on live",
    )
    callback_rewrite: tuple[str, ...] = _option(
        (),
        "--callback-rewrite",
        metavar="A=B",
        text="call B where the callback URL begins with A, e.g."
        " https://your-server.com=http://127.0.0.1:9000; repeat for more",
    )
    callback_retries: str | None = _option(
        None,
        "--callback-retries",
        env=("APIXO_EMULATOR_CALLBACK_RETRIES",),
        metavar="S,S,…",
        text=f"seconds to wait before each retry of a callback [default: {_RETRIES}]",
    )
    callback_ca: Path | None = _option(
        None,
        "--callback-ca",
        metavar="FILE",
        text="also trust this certificate authority (PEM) of callback receivers",
    )
    durability: Durability = _option(
        Durability.PROCESS,
        "--durability",
        env=("APIXO_EMULATOR_DURABILITY",),
        metavar="process|power",
        text="what an acknowledged submit survives: the process's death, or a loss of power too",
    )
    public_url: str | None = _option(
        None,
        "--public-url",
        env=("APIXO_EMULATOR_PUBLIC_URL",),
        metavar="URL",
        text="origin of result links [default: the Host that the caller used]",
    )
    control_token: str | None = _option(
        None,
        "--control-token",
        env=("APIXO_EMULATOR_CONTROL_TOKEN",),
        metavar="TOKEN",
        text="lets callers from other machines steer the emulator [default: they may not]",
    )
    uds: Path | None = _option(
        None, "--uds", metavar="PATH", text="listen on this Unix socket instead of a port"
    )
    tls_cert: Path | None = _option(
        None,
        "--tls-cert",
        env=("APIXO_EMULATOR_TLS_CERT",),
        metavar="FILE",
        text="serve HTTPS with this certificate chain (PEM)",
    )
    tls_key: Path | None = _option(
        None,
        "--tls-key",
        env=("APIXO_EMULATOR_TLS_KEY",),
        metavar="FILE",
        text="the private key of --tls-cert (PEM) [default: in the file of --tls-cert]",
    )
    cors: Cors = _option(
        Cors.LOOPBACK,
        "--cors",
        env=("APIXO_EMULATOR_CORS",),
        metavar="loopback|any|off",
        text="which web pages may call the API: those on this machine, all, or none",
    )
    keep_alive: float = _option(
        75.0,
        "--keep-alive",
        env=("APIXO_EMULATOR_KEEP_ALIVE",),
        metavar="S",
        text="seconds after which an idle connection is closed",
    )
    header_timeout: float = _option(
        30.0,
        "--header-timeout",
        env=("APIXO_EMULATOR_HEADER_TIMEOUT",),
        metavar="S",
        text="seconds in which the headers of a request must arrive",
    )
    ready_file: Path | None = _option(
        None, "--ready-file", metavar="PATH", text="write the API's base URL here once it answers"
    )
    log_format: LogFormat = _option(
        LogFormat.TEXT, "--log-format", metavar="text|json", text="how log lines on stderr look"
    )
    log_level: LogLevel = _option(
        LogLevel.INFO,
        "--log-level",
        env=("APIXO_EMULATOR_LOG_LEVEL",),
        metavar="debug|info|warning|error",
        text="what is logged: debug adds each request, info each failed callback attempt",
    )
    quiet: bool = _option(False, "--quiet", text="print the ready lines only, no log")  # noqa: FBT003 - a default
    # From the configuration file only: keys would be seen on a command line.
    accounts: Mapping[str, AccountTerms] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_server()
        self._check_timeouts()
        self._check_paths()
        if not all(_KEY.fullmatch(key) for key in self.api_key):
            raise ValueError(
                "--api-key: expected a key of printable ASCII without spaces around it"
            )
        self._checked("--callback-rewrite or --callback-retries", self.callback_options)
        self._checked("--balance", self.balance_micros)
        self._checked("--rate", self._rate_fits)
        self._checked("--seed", self._seed_fits)
        self._checked("--scenarios", self.rules)
        self._checked("--latency", self.task_latency)

    def _check_server(self) -> None:
        if not self.host.strip():
            raise ValueError("--host: expected an address such as 127.0.0.1, found an empty text")
        if not self.host.isprintable():
            raise ValueError(
                f"--host: expected an address such as 127.0.0.1, found {shown(self.host)}"
            )
        if not 0 <= self.port <= _HIGHEST_PORT:
            raise ValueError(f"--port: expected 0 to {_HIGHEST_PORT}, found {self.port}")
        if self.ephemeral and self.data is not None:
            raise ValueError("--ephemeral keeps nothing and --data says where: give one of them")
        if self.workers < 1:
            raise ValueError(f"--workers: expected at least 1, found {self.workers}")
        if self.control_token is not None and not _TOKEN.fullmatch(self.control_token):
            raise ValueError(
                "--control-token: expected at least 8 letters, digits or any of -._~, so that it"
                " fits into a header and a cookie"
            )
        if self.store is not None and not _is_postgres(self.store):
            raise ValueError("--store: expected postgresql://user@host/database")
        if self.public_url is not None and not _is_public_url(self.public_url):
            raise ValueError(f"--public-url: expected http(s)://…, found {shown(self.public_url)}")

    def _check_timeouts(self) -> None:
        for flag, seconds in (
            ("--keep-alive", self.keep_alive),
            ("--header-timeout", self.header_timeout),
        ):
            if not 0 < seconds <= _LONGEST_TIMEOUT_S:
                raise ValueError(
                    f"{flag}: expected more than 0 and at most {_LONGEST_TIMEOUT_S} seconds,"
                    f" found {seconds:g}"
                )

    def _check_paths(self) -> None:
        if self.images is not None and not self.images.is_dir():
            raise ValueError(f"--images: expected a folder, found {str(self.images)!r}")
        if self.ready_file is not None and not self.ready_file.parent.is_dir():
            raise ValueError(
                f"--ready-file: expected a path in a folder that exists, found {str(self.ready_file)!r}"
            )
        if self.ready_file is not None and self.ready_file.is_dir():
            raise ValueError(
                f"--ready-file: expected a path for a file, found the folder {str(self.ready_file)!r}"
            )
        if self.callback_ca is not None:
            self._checked("--callback-ca", self._callback_ca_loads)
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("--tls-key is the key of a certificate: give --tls-cert too")
        if self.tls_cert is not None:
            self._checked("--tls-cert", self._certificate_loads)

    @staticmethod
    def _checked(flag: str, read: Any) -> None:
        try:
            read()
        except ValueError as error:
            raise ValueError(f"{flag}: {error}") from None

    def _callback_ca_loads(self) -> None:
        try:
            ssl.create_default_context(cafile=self.callback_ca)
        except (OSError, ssl.SSLError) as error:
            words = f"expected certificates in a PEM file, found {str(self.callback_ca)!r}: {error}"
            raise ValueError(words) from None

    def _certificate_loads(self) -> None:
        if self.tls_cert is None:
            return
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self.tls_cert,
                self.tls_key,
                password=lambda: "",  # an encrypted key is refused
            )
        except (OSError, ssl.SSLError) as error:
            files = " and ".join(repr(str(path)) for path in (self.tls_cert, self.tls_key) if path)
            words = f"expected a PEM certificate with its private key, found {files}: {error}"
            raise ValueError(words) from None

    def _rate_fits(self) -> None:
        if self.rate is not None:
            ClockState().at_rate(self.rate, 0)

    def _seed_fits(self) -> None:
        if self.seed is not None:
            checked_seed(self.seed)

    def rules(self) -> tuple[Rule, ...]:
        """Read the scenario file; none is no rules.

        Raises:
            ValueError: It cannot be read, or a rule is wrong; the message names the line.
        """
        if self.scenarios is None:
            return ()
        from apixo_emulator.scenario_file import load_rules

        return load_rules(self.scenarios)

    def balance_micros(self) -> int:
        """Give the starting balance in millionths of a USD."""
        return micros(self.balance)

    def task_latency(self) -> Latency:
        """Give how long tasks take."""
        return read_latency(self.latency)

    def callback_options(self) -> CallbackOptions:
        """Give how callbacks are delivered."""
        rewrites = tuple(parse_rewrite(text) for text in self.callback_rewrite)
        if self.callback_retries is None:
            return CallbackOptions(self.callbacks, rewrites)
        return CallbackOptions(self.callbacks, rewrites, _delays_ms(self.callback_retries))


def _is_postgres(url: str) -> bool:
    # What is not printable may be no text at all, but bytes of a command line.
    return url.startswith(_POSTGRES) and url.isprintable()


def _is_public_url(url: str) -> bool:
    try:
        return bool(_PUBLIC_URL.fullmatch(url)) and url.isprintable() and urlsplit(url).port != 0
    except ValueError:  # of the port, or of an IPv6 address
        return False


_in_force: list[Path] = []


def use_profile_file(path: Path | None) -> None:
    """Put a profile in force for this process, once, before anything reads the contract.

    Raises:
        ValueError: The file cannot be read, or is no profile.
    """
    if path is None or path in _in_force:
        return
    try:
        use_profile(load_profile(path))
    except OSError as error:
        words = f"expected a profile that `apixo-contract learn` wrote, found {str(path)!r}"
        raise ValueError(f"--profile: {words}: {error.strerror or error}") from None
    _in_force.append(path)


def _delays_ms(text: str) -> tuple[int, ...]:
    """Read seconds with commas between them; no text means no retries."""
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if not all(_SECONDS.fullmatch(part) for part in parts):
        raise ValueError(f"expected seconds such as {_RETRIES}, found {text!r}")
    return tuple(round(float(part) * 1000) for part in parts)
