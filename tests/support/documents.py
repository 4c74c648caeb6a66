"""The documents that are derived from the contract, as files. Run it to write them anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apixo_schemas import derived_documents

ROOT = Path(__file__).parents[2]


def text_of(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, found in derived_documents().items():
        (ROOT / "schemas/apixo_schemas/v1" / name).write_text(text_of(found), "utf-8")
