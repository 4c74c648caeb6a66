"""The vendor's machine-readable model index, as its public tools read it (platform fact P13)."""

from __future__ import annotations

from typing import Any

from apixo_schemas.contract import document

_SCHEMA_VERSION = "1.0"
# A constant, so that two emulators publish the same bytes.
_GENERATED_AT = "2026-11-23T00:00:00Z"


def model_index() -> dict[str, Any]:
    """Give what ``/docs/models/schemas/index.json`` answers."""
    model = document("model.json")
    entry = {
        "model_id": model["id"],
        "slug": model["slug"],
        "category": model["category"],
        "title": model["title"],
        "integration_type": model["integration_type"],
        "schema_path": model["schema_path"],
        "doc_path": model["doc_path"],
    }
    return {
        "schema_version": _SCHEMA_VERSION,
        "generated_at": _GENERATED_AT,
        "total_models": 1,
        "models": [entry],
    }


def model_schema() -> dict[str, Any]:
    """Give what the index's ``schema_path`` answers: endpoints, price and the submit schema.

    The vendor's form of this document is not known; tools pass it on as it is.
    """
    model = document("model.json")
    return {
        "schema_version": _SCHEMA_VERSION,
        "model_id": model["id"],
        "title": model["title"],
        "category": model["category"],
        "integration_type": model["integration_type"],
        "endpoints": {name: model["api"][name] for name in ("submit", "status")},
        "pricing": {key: model["price"][key] for key in ("usd", "unit")},
        "request_schema": document("submit-request.json"),
        "response_schema": document("submit-response.json"),
        "status_schema": document("status-response.json"),
    }
