"""The one gate of the emulator.

The operator's desk beside it is `service.control`: a server that nobody steers does not load it.
"""

from apixo_emulator.service.emulator import Emulator
from apixo_emulator.service.options import Options
from apixo_emulator.service.worlds import WorldOptions

__all__ = ["Emulator", "Options", "WorldOptions"]
