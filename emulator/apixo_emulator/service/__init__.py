"""The one gate of the emulator: calls in, answers out, whatever carries them."""

from apixo_emulator.service.emulator import Emulator, Options

__all__ = ["Emulator", "Options"]
