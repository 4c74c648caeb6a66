"""The schema of each SQL engine, as scripts in the order in which they are applied."""

from importlib.resources import files


def scripts(engine: str) -> list[str]:
    """Return the scripts of ``sqlite`` or ``postgres``; a store's version is how many it has seen."""
    folder = files(__name__) / engine
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=str)
    return [entry.read_text("utf-8") for entry in found]
