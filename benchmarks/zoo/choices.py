"""What was chosen on the first half of the zoo, before the second was looked at."""

from benchmarks.zoo import rows as table
from benchmarks.zoo.granulated import granulated, overall
from benchmarks.zoo.rows import READINGS, RIVALS, Row

FAMILY, HALF = "mlp", 0  # every choice is made on these networks alone


def signs(zoo: list[Row]) -> dict[str, float]:
    """1 or -1 for each measure: turned so, larger goes with a larger gap, by its mean psi among the choosing half."""
    found = {}
    for name in (*READINGS, *RIVALS):
        psi = _psi(zoo, name)
        found[name] = -1.0 if psi is not None and psi < 0 else 1.0
    return found


def chosen(zoo: list[Row]) -> dict[str, float]:
    """The signs that measures are turned by; the score's own is given, since the paper says which it is."""
    return signs(zoo) | dict.fromkeys(READINGS, -1.0)


def _psi(zoo: list[Row], name: str) -> float | None:
    known = [row for row in table.half(zoo, FAMILY, HALF) if row[name] is not None]
    if len(known) < 8:
        return None
    return overall(granulated(table.column(known, name), table.column(known, "gap"), table.axes(known))).psi


def made(zoo: list[Row]) -> dict[str, str]:
    """The table of readings that were compared on the choosing half: those networks that every reading is known of."""
    known = [row for row in zoo if all(row[name] is not None for name in READINGS)]
    text = "| reading | mean psi with the gap (below 0: predicts) |\n|---|---|\n"
    for name in READINGS:
        psi = _psi(known, name)
        text += f"| {name} | {'not known' if psi is None else f'{psi:+.2f}'} |\n"
    turned = [name for name, sign in signs(zoo).items() if name in RIVALS and sign < 0]
    text += f"\nTurned round, since less of it went with a larger gap: {', '.join(turned) or 'none'}.\n"
    networks = len(table.half(known, FAMILY, HALF))
    return {"choices": f"{text}Of {networks} networks whose {len(READINGS)} readings are all known.\n"}
