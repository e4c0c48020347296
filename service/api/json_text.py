"""JSON as RFC 8259 has it and no more: pydantic's parser takes NaN, and of a name that comes twice the last."""

import json
from typing import Any, Never

from service import problems


def check(text: bytes, place: str = "") -> None:
    """Raise `Invalid` for numbers that are none, names that come twice, and what is nested too deeply.

    What is no JSON at all is left to whoever parses it next.
    """
    where = f"/{place}"

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _refused(where, f"the name {twice[:100]!r} comes twice; send it once")
        return found

    def no_number(word: str) -> Never:
        raise _refused(where, f"{word} is no number in JSON")

    try:
        json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except RecursionError as error:
        raise _refused(where, "it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise _refused(where, "it is no UTF-8 text") from error
    except ValueError:  # no JSON, or a number of thousands of digits
        return


def _refused(where: str, why: str) -> problems.Invalid:
    return problems.Invalid(
        f"Mend the JSON and send the request again. {where}: {why}", errors=[{"pointer": where, "detail": why}]
    )
