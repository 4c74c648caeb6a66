"""Names of the control API that its server, the commands and tests share."""

CONTROL_PREFIX = "/_emulator/"
# The built-in receiver of callbacks: the one control path that other programs may call.
INBOX_PATH = f"{CONTROL_PREFIX}inbox"
TOKEN_HEADER = "x-apixo-emulator-token"  # noqa: S105 - a header's name
TOKEN_COOKIE = "apixo-emulator-token"  # noqa: S105 - a cookie's name
