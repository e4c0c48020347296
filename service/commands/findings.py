"""What analyses found, for the terminal: how sites are tuned, the most important units, and how the two go together."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.schemas import Analyses, Classes, Correlation, Estimate, Importance, Targeted, Tuned, Unit
from service.terminal import visible

NONE = "-"
SHOWN_CLASSES = 10  # that break first


def shown(found: Analyses, evaluation: str) -> RenderableType:
    """All tables, one below the other. evaluation: its id, under which the table of all units is."""
    parts: list[RenderableType] = []
    if found.importance is not None:
        parts += [Text(), _heading(found.importance), _units(found.importance.top)]
    if found.selectivity is not None:
        rank = {} if found.relation is None else {each.site: each for each in found.relation.layers[::-1]}
        parts += [Text(), _sites(found.selectivity, rank)]
    if found.targeted is not None:
        parts += [Text(), _orders(found.targeted), Text(found.targeted.finding, "bold")]
    if found.classes is not None:
        parts += [Text(), _classes(found.classes)]
    if found.noise is not None:
        told = [f"{point.value:.2f} at {point.deviations:g}" for point in found.noise.curve[::5]]
        parts += [Text(), Text(f"With noise on all units: accuracy {', '.join(told)} standard deviations")]
    if found.relation is not None:
        parts += [Text(), *(Text(line, "bold") for line in _sentences(found.relation.finding))]
    parts.append(Text(f"All {found.units.units:,} units: GET /v1/evaluations/{evaluation}/units.csv", "dim"))
    return Group(*parts)


def _heading(importance: Importance) -> Text:
    examples = f"each ablated alone on up to {importance.examples:,} examples"
    if importance.certain is None:
        return Text(f"The most important units, {examples}")
    sure = "certain" if importance.certain else "not certain within `passes`"
    return Text(f"The {len(importance.top)} most important units ({sure}), {examples}")


def _units(units: list[Unit]) -> Table:
    """Fits into 80 columns, as most terminals have them: one interval, and the rest without."""
    heads = ("site", "unit", "nats added without it", "accuracy", "worst class", "selective", "bits")
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for unit in units:
        importance = unit.importance
        assert importance is not None
        hit = max(importance.classes, key=lambda each: each.accuracy_lost.value, default=None)
        cells = [visible(unit.site), str(unit.unit), _interval(importance.cross_entropy_added)]
        cells.append(f"{-importance.accuracy_lost.value:+.1%}")
        cells.append(NONE if hit is None else f"{hit.label}: {-hit.accuracy_lost.value:+.1%}")
        driver = "" if unit.driver is None else f" ({unit.driver})"
        table.add_row(*cells, _plain(unit.selectivity) + driver, _plain(unit.information))
    return table


def _sites(sites: list[Tuned], correlations: dict[str | None, Correlation]) -> Table:
    heads = ["site", "units", "dead", "fires", "selective", "bits", *(["selective = important?"] * bool(correlations))]
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for site in sites:
        cells = [visible(site.site), str(site.units), str(site.dead), f"{site.fires:.2f}"]
        cells += [_plain(site.selectivity), _plain(site.information)]
        if correlations:
            found = correlations.get(site.site)
            cells.append(NONE if found is None or found.spearman is None else _interval(found.spearman))
        table.add_row(*cells)
    return table


def _orders(targeted: Targeted) -> Table:
    table = Table("units lost first", "area under the curve", "less than random", box=None, pad_edge=False)
    table.padding = (0, 2, 0, 0)
    for each in targeted.orders:
        gap = NONE if each.less_than_random is None else _interval(each.less_than_random)
        table.add_row(each.order.replace("_", " "), _interval(each.area), gap)
    return table


def _classes(classes: Classes) -> Table:
    table = Table("class", "examples", "intact", "half-life", "area under its curve", box=None, pad_edge=False)
    table.padding = (0, 2, 0, 0)
    for each in classes.curves[:SHOWN_CLASSES]:
        table.add_row(
            str(each.label), str(each.examples), f"{each.values[0]:.3f}", _plain(each.half_life), _interval(each.area)
        )
    return table


def _sentences(finding: str) -> Iterator[str]:
    yield from finding.replace("). ", ").\n").splitlines()


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def _plain(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
