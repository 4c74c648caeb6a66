"""The contract of APIXO's Image Upscaler, as data.

Every message, limit, default, price and failure code of the project stands once, in the JSON
files of ``v1/``, each with its grade and source. `contract` reads them as typed values;
`document` and `registry` return the JSON Schemas themselves, `source` the sentence behind an id.
"""

from apixo_schemas._forms import error_body, shaped_task_id, status_and_code
from apixo_schemas._profile import (
    Profile,
    ProfileError,
    apply_profile,
    load_profile,
    profile_schema,
    read_profile,
    setting_fault,
    use_profile,
)
from apixo_schemas._profile_settings import CONTENT_TYPE_ERROR, OTHER_KEY_ERROR
from apixo_schemas._published import model_index, model_schema
from apixo_schemas.contract import (
    MICROS_PER_USD,
    Assumption,
    CallbackTerms,
    Contract,
    ErrorEntry,
    Failure,
    Grade,
    ImageFormat,
    Poll,
    Polling,
    Rule,
    Source,
    cite,
    cited,
    contract,
    document,
    document_names,
    document_text,
    published_contract,
    registry,
    source,
    sources,
)

__all__ = [
    "CONTENT_TYPE_ERROR",
    "MICROS_PER_USD",
    "OTHER_KEY_ERROR",
    "Assumption",
    "CallbackTerms",
    "Contract",
    "ErrorEntry",
    "Failure",
    "Grade",
    "ImageFormat",
    "Poll",
    "Polling",
    "Profile",
    "ProfileError",
    "Rule",
    "Source",
    "apply_profile",
    "cite",
    "cited",
    "contract",
    "document",
    "document_names",
    "document_text",
    "error_body",
    "load_profile",
    "model_index",
    "model_schema",
    "profile_schema",
    "published_contract",
    "read_profile",
    "registry",
    "setting_fault",
    "shaped_task_id",
    "source",
    "sources",
    "status_and_code",
    "use_profile",
]
