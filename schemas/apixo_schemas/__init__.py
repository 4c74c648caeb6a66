"""The contract of APIXO's Image Upscaler, as data.

Every message, limit, default, price and failure code of the project stands once, in the JSON
files of ``v1/``, each with its grade and source. `contract` reads them as typed values;
`document` and `registry` give the JSON Schemas themselves.
"""

from apixo_schemas._contract import (
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
    contract,
    published_contract,
)
from apixo_schemas._documents import document, document_names, document_text, registry
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
    "apply_profile",
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
    "status_and_code",
    "use_profile",
]
