"""Submit bodies of all kinds, most of them almost right."""

from typing import Any

from hypothesis import strategies as st

from apixo_schemas import contract

ODD: st.SearchStrategy[Any] = st.sampled_from(
    ["", " ", "4\u212a", "\uff12k", "jpg\n", "JPG", 0, 1, -1.5, True, False, None, [], {}, [[]]]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    ODD
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
URL = st.just("https://example.com/input.jpg")
TIERS = [*contract().long_edge_px, *(tier.upper() for tier in contract().long_edge_px)]
FORMATS = [*contract().formats, *contract().format_aliases]


def mostly(good: st.SearchStrategy[Any], *bad: Any) -> st.SearchStrategy[Any]:
    """Give a good value three times of four, else a wrong one."""
    return st.one_of(good, good, good, st.sampled_from(bad) | ODD | JSON)


EXTRA = st.dictionaries(st.sampled_from(["prompt", "provider", "constructor", "toString"]), JSON)
INPUTS = st.builds(
    lambda extra, given: {**extra, **given},
    EXTRA,
    st.fixed_dictionaries(
        {
            "image_urls": mostly(
                st.lists(URL, min_size=1, max_size=1), [""], [1, 2], ["a", "b"], [None]
            )
        },
        optional={
            "mode": mostly(st.just("image-to-image"), "text-to-image"),
            "resolution": mostly(st.sampled_from(TIERS), "16k", "4K "),
            "output_format": mostly(st.sampled_from(FORMATS), "gif"),
        },
    ),
)
BODIES = JSON | st.builds(
    lambda extra, given: {**extra, **given},
    EXTRA,
    st.fixed_dictionaries(
        {"input": mostly(INPUTS, {}, {"image_urls": None})},
        optional={
            "request_type": mostly(st.sampled_from(["async", "callback"]), "sync"),
            "callback_url": mostly(URL, "not a URL"),
        },
    ),
)
