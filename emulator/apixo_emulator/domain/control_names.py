"""Names of the control API that its server, the commands and tests share."""

CONTROL_PREFIX = "/_emulator/"
TOKEN_HEADER = "x-apixo-emulator-token"  # noqa: S105 - a header's name
TOKEN_COOKIE = "apixo-emulator-token"  # noqa: S105 - a cookie's name
