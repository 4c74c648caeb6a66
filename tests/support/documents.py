"""The files that are derived from the contract: run this to write them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apixo_schemas import derived_documents

ROOT = Path(__file__).parents[2]


def text_of(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def derived_files() -> dict[Path, str]:
    """Return the text of each derived file by its path."""
    from support.api_collections import FOLDER, collections

    schemas = ROOT / "schemas/apixo_schemas/v1"
    return {
        **{schemas / name: text_of(found) for name, found in derived_documents().items()},
        **{FOLDER / name: text for name, text in collections().items()},
    }


if __name__ == "__main__":
    for path, text in derived_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
