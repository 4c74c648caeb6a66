"""All variants; importing the modules fills the table."""

from gauntlet.variant import VARIANTS
from gauntlet.variants import answers, dealings, requests

__all__ = ["SOURCES", "VARIANTS"]

SOURCES = (answers, dealings, requests)
