"""The one gate of the emulator, and the operator's desk beside it."""

from apixo_emulator.service.emulator import Emulator
from apixo_emulator.service.operator import Operator
from apixo_emulator.service.options import Options
from apixo_emulator.service.worlds import WorldOptions

__all__ = ["Emulator", "Operator", "Options", "WorldOptions"]
