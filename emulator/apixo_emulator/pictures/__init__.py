"""Real pictures: finding a task's source, enlarging it, and keeping the result on disk."""

from apixo_emulator.pictures.sources import SourceOptions
from apixo_emulator.pictures.store import PictureStore, RenderedPicture

__all__ = [
    "PictureStore",
    "RenderedPicture",
    "SourceOptions",
]
