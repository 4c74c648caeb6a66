"""The contract of APIXO's Image Upscaler, as data.

Every message, limit, default, price and failure code of the project stands once, in the JSON
files of ``v1/``, each with its grade and source. `contract` reads them as typed values;
`document` returns a JSON Schema, `source` the sentence behind an id, `openapi_document` the API for
code generators.
"""

from apixo_schemas.contract import (
    MICROS_PER_USD,
    Contract,
    ErrorEntry,
    Grade,
    Rule,
    Source,
    cite,
    cited,
    contract,
    document,
    document_names,
    document_text,
    published_contract,
    source,
    sources,
)
from apixo_schemas.openapi import derived_documents, model_index, model_schema, openapi_document
from apixo_schemas.profiles import (
    CONTENT_TYPE_ERROR,
    OTHER_KEY_ERROR,
    Profile,
    ProfileError,
    apply_profile,
    load_profile,
    profile_schema,
    read_profile,
    setting_fault,
    use_profile,
)
from apixo_schemas.values import (
    error_body,
    http_date_s,
    picture_format,
    retry_after_s,
    shaped_task_id,
)

__all__ = [
    "CONTENT_TYPE_ERROR",
    "MICROS_PER_USD",
    "OTHER_KEY_ERROR",
    "Contract",
    "ErrorEntry",
    "Grade",
    "Profile",
    "ProfileError",
    "Rule",
    "Source",
    "apply_profile",
    "cite",
    "cited",
    "contract",
    "derived_documents",
    "document",
    "document_names",
    "document_text",
    "error_body",
    "http_date_s",
    "load_profile",
    "model_index",
    "model_schema",
    "openapi_document",
    "picture_format",
    "profile_schema",
    "published_contract",
    "read_profile",
    "retry_after_s",
    "setting_fault",
    "shaped_task_id",
    "source",
    "sources",
    "use_profile",
]
