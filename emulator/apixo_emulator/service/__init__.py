"""The one gate of the emulator.

The control operations are in `service.control`, which is imported when the first one is called.
"""

from apixo_emulator.service.emulator import Emulator
from apixo_emulator.service.worlds import Options, WorldOptions

__all__ = ["Emulator", "Options", "WorldOptions"]
