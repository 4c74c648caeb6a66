"""Task ids and error bodies in the forms that a profile can ask for."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_contract.learn import id_form
from apixo_schemas import error_body, shaped_task_id

numbers = st.integers(0, 2**128 - 1)
FORMS = {
    "hex32": r"[0-9a-f]{32}",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "task_{digits:8}": r"task_\d{8}",
    "task_{alnum:12}": r"task_[0-9a-z]{12}",
    "{hex:8}-{digits:4}.jpg": r"[0-9a-f]{8}-\d{4}\.jpg",
}


@given(numbers, st.sampled_from(sorted(FORMS)))
def test_an_id_has_its_form_and_is_always_the_same(number: int, form: str) -> None:
    made = shaped_task_id(form, number)
    assert re.fullmatch(FORMS[form], made)
    assert shaped_task_id(form, number) == made


@given(numbers)
def test_the_default_form_is_the_number_in_hex(number: int) -> None:
    assert shaped_task_id("hex32", number) == f"{number:032x}"


@given(st.sets(st.integers(0, 10**12 - 1), min_size=2))
def test_numbers_that_fit_give_ids_of_their_own(chosen: set[int]) -> None:
    assert len({shaped_task_id("task_{digits:12}", number) for number in chosen}) == len(chosen)


@given(numbers, st.sampled_from(["hex32", "uuid"]))
def test_a_learnt_form_is_the_one_it_was_made_in(number: int, form: str) -> None:
    assert id_form(shaped_task_id(form, number)) == form


@given(numbers, st.sampled_from(["task_{digits:8}", "task_{alnum:12}", "t-{hex:10}"]))
def test_a_learnt_form_can_make_what_it_was_learnt_from(number: int, form: str) -> None:
    made = shaped_task_id(form, number)
    again = shaped_task_id(id_form(made), number)
    assert len(again) == len(made)
    assert again[: made.find("_") + 1] == made[: made.find("_") + 1]


@pytest.mark.parametrize("form", ["", "hex", "task_", "{hex}", "{octal:3}"])
def test_an_unknown_form_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="expected hex32, uuid or a pattern"):
        shaped_task_id(form, 1)


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        (None, {"data": None}),
        ("absent", {}),
        ({}, {"data": {}}),
        ({"error": "$message"}, {"data": {"error": "No."}}),
        (
            {"errors": [{"detail": "$message", "n": 1}]},
            {"data": {"errors": [{"detail": "No.", "n": 1}]}},
        ),
    ],
)
def test_the_data_of_an_error_has_the_asked_form(form: Any, wanted: dict[str, Any]) -> None:
    assert error_body(400, "No.", form) == {"code": 400, "message": "No.", **wanted}
