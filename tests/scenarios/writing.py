"""Documents written down in the ways that people do."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

Draw = Any


def as_json(document: Any, draw: Draw) -> str:
    """JSON on one line or on many."""
    return json.dumps(
        document,
        indent=draw(st.sampled_from([None, 0, 2, "\t"])),
        ensure_ascii=draw(st.booleans()),
    )


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def escaped(name: str) -> str:
    """A name in escapes that TOML has and JSON has not."""
    return "".join(f"\\U{ord(char):08x}" for char in name)


def _key(name: str, draw: Draw) -> str:
    """A key bare, in either kind of quotes, or escaped."""
    forms = [_text(name), f'"{escaped(name)}"']
    if name.isascii() and name.replace("_", "").replace("-", "").isalnum():
        forms.append(name)
    if "'" not in name:
        forms.append(f"'{name}'")
    return str(draw(st.sampled_from(forms)))


def _space(draw: Draw) -> str:
    return str(draw(st.sampled_from(["", "\n", "# [[rule]] # }\n", '\n  # \'x\' = """\n\n'])))


def _value(value: Any, draw: Draw) -> str:
    """A value within a line, but for lists, which may take several."""
    match value:
        case bool():
            return str(value).lower()
        case str() if '"' not in value and "\\" not in value and draw(st.booleans()):
            return f'"""{value}"""' if draw(st.booleans()) or "'" in value else f"'{value}'"
        case str():
            return _text(value)
        case list():
            gap = _space(draw) and "  # ] }\n"
            return f"[{gap}{f',{gap} '.join(_value(entry, draw) for entry in value)}{gap}]"
        case dict():
            members = (f"{_key(name, draw)} = {_value(one, draw)}" for name, one in value.items())
            return f"{{ {', '.join(members)} }}"
        case _:
            return str(value)


def _table(table: dict[str, Any], at: str, draw: Draw) -> str:
    """A table's own values first, then the tables below it under headers of their own."""
    own, below = "", ""
    for name, value in table.items():
        key = _key(name, draw)
        path = f"{at}.{key}" if at else key
        if isinstance(value, dict) and value and draw(st.booleans()):
            below += f"{_space(draw)}[ {path} ]\n{_table(value, path, draw)}"
        elif isinstance(value, dict) and value and draw(st.booleans()):
            members = (f"{key} . {_key(n, draw)} = {_value(v, draw)}\n" for n, v in value.items())
            own += "".join(members)
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            # Headers are written in one way: a list of tables must not change its name.
            below += "".join(
                f"{_space(draw)}[[{path}]]  # a rule\n{_table(one, path, draw)}" for one in value
            )
        else:
            own += f"{_space(draw)}{key} = {_value(value, draw)}\n"
    return own + below


def as_toml(document: dict[str, Any], draw: Draw) -> str:
    """TOML with headers, dotted keys, inline tables, and comments that look like code."""
    return _table(document, "", draw).replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
