"""Real pictures: finding a task's source, enlarging it, and keeping the result on disk."""

from apixo_emulator.pictures.sources import SourceLimits, SourceOptions
from apixo_emulator.pictures.store import PictureStore, RenderedPicture, StoreLimits

__all__ = [
    "PictureStore",
    "RenderedPicture",
    "SourceLimits",
    "SourceOptions",
    "StoreLimits",
]
