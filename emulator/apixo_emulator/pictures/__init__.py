"""Real pictures: finding a task's source, enlarging it, and keeping the result on disk."""

from apixo_emulator.pictures.gallery import Gallery, RenderedPicture
from apixo_emulator.pictures.limits import PictureLimits

__all__ = ["Gallery", "PictureLimits", "RenderedPicture"]
