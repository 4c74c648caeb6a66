"""What a Host header may be."""

from __future__ import annotations

import re

# A name or address, and a port (RFC 3986, 3.2.2); the first group is the name, brackets included.
HOST = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
