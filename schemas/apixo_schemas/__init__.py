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
)
from apixo_schemas._documents import document, document_names, document_text, registry
from apixo_schemas._published import model_index, model_schema

__all__ = [
    "MICROS_PER_USD",
    "Assumption",
    "CallbackTerms",
    "Contract",
    "ErrorEntry",
    "Failure",
    "Grade",
    "ImageFormat",
    "Poll",
    "Polling",
    "Rule",
    "contract",
    "document",
    "document_names",
    "document_text",
    "model_index",
    "model_schema",
    "registry",
]
