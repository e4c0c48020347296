"""What is promised of each case, and whether it was seen."""

from collections.abc import Callable
from typing import Any

Promise = tuple[str, Callable[[dict[str, Any]], bool]]


def _all_answered(seen: dict[str, Any]) -> bool:
    return all(status.startswith("2") for status in seen["statuses"])


def _none_lost(seen: dict[str, Any]) -> bool:
    return all(status[0] == "2" or status in ("429", "503") for status in seen["statuses"])


PROMISES: dict[str, list[Promise]] = {
    "reads": [
        ("2,000 reads a second", lambda seen: seen["rate"] >= 1980),
        ("99 % within 25 ms", lambda seen: seen["p99_ms"] <= 25),
        ("all answered", _all_answered),
    ],
    "submits": [
        ("200 durable submits a second", lambda seen: seen["rate"] >= 198),
        ("99 % within 60 ms", lambda seen: seen["p99_ms"] <= 60),
        ("all answered", _all_answered),
    ],
    "list": [("99 % within 50 ms", lambda seen: seen["p99_ms"] <= 50), ("all answered", _all_answered)],
    "upload": [
        ("150 MB/s", lambda seen: seen["mb_per_s"] >= 150),
        ("within 64 MiB more", lambda seen: seen["peak_rise_mib"] <= 64),
    ],
    "overload": [
        ("answered, or refused by 429 or 503", lambda seen: _none_lost(seen["flood"])),
        (
            "each refusal says when to come again",
            lambda seen: not seen["flood"].get("refused", {}).get("without_retry_after"),
        ),
        ("half of what it can do still gets done", lambda seen: seen["flood"]["rate"] >= seen["able"]["rate"] / 2),
        ("all is well afterwards", lambda seen: _all_answered(seen["after"])),
    ],
    "slow": [
        ("99 % of the others at most twice as late", lambda seen: seen["times_p99"] <= 2),
        ("all of the others answered", lambda seen: _all_answered(seen["beside"])),
        ("slow callers dropped after 15 s", lambda seen: max(seen["longest_s"].values()) <= 16),
    ],
    "soak": [
        ("all succeeded", lambda seen: seen["ended"] > 0 and seen["failed"] == 0),
        ("less than 5 % growth in 10,000", lambda seen: seen["flat"]),
    ],
}


def broken(case: str, seen: dict[str, Any]) -> list[str]:
    """The promises that do not hold."""
    return [promise for promise, holds in PROMISES[case] if not holds(seen)]


def told(case: str, database: str, seen: dict[str, Any], broken: list[str]) -> str:
    """Lines for people."""
    head = f"{case:<9} {database:<11} " + ("ok" if not broken else "BROKEN: " + "; ".join(broken))
    return "\n".join([head, *_lines(seen, "    ")])


def _lines(seen: dict[str, Any], indent: str) -> list[str]:
    nested = {name: value for name, value in seen.items() if isinstance(value, dict) and name != "statuses"}
    plain = [f"{name} {_plain(value)}" for name, value in seen.items() if name not in nested]
    lines = [indent + "  ".join(plain)] if plain else []
    for name, value in nested.items():
        inner = _lines(value, indent + "  ")
        lines += [f"{indent}{name}: {inner[0].strip()}", *inner[1:]] if inner else []
    return lines


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}x{count}" for key, count in value.items())
    return str(value)
