"""Task ids that nobody has been given, in the form of those that somebody has."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence

# Ids that are short, or count up, could meet somebody else's by chance: these are longer.
_SHORTEST = 12


def similar_ids(known: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Give unknown ids without end: letters become other letters, digits other digits.

    A target may refuse an id of another form as malformed; one like its own it must look up.
    Without a known id they have the form that public clients have seen (platform fact P10).
    """
    model = known[0] if known else f"{rng.getrandbits(128):032x}"
    while True:
        made = "".join(_other(letter, rng) for letter in model)
        while sum(letter.isalnum() for letter in made) < _SHORTEST:
            made += rng.choice("123456789")
        if made not in known:
            yield made


def _other(letter: str, rng: random.Random) -> str:
    if letter in string.digits:
        return rng.choice(string.digits)
    # Within a hexadecimal id letters stay hexadecimal.
    for letters in ("abcdef", "ABCDEF", string.ascii_lowercase, string.ascii_uppercase):
        if letter in letters:
            return rng.choice(letters)
    return letter
