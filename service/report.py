"""One evaluation as a page that needs nothing besides itself: to send on, to keep, to print."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape

from service import __version__, analysis_plots, plots, schemas
from service.measures import metric
from service.scatters import Unit
from service.schemas import Analyses, Analysis, Estimate, Evaluation, Result, Standing

STYLE = """
:root { color-scheme: light dark; --text: #16191d; --quiet: #59616b; --edge: #d9dde3; --ground: #fff }
@media (prefers-color-scheme: dark) { :root { --text: #e8ebee; --quiet: #a2abb5; --edge: #343b44; --ground: #101316 } }
body { margin: 2rem auto; max-width: 56rem; padding: 0 1rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
.score { font-size: 2.5rem; font-weight: 650; margin: 0.5rem 0 0 } .quiet { color: var(--quiet) }
img { display: block; width: 100%; background: #fff; border-radius: 0.5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 0.25rem 1.5rem 0.25rem 0; border-bottom: 1px solid var(--edge); text-align: left }
th { color: var(--quiet); font-weight: 500 } pre { white-space: pre-wrap; font-size: 0.8rem }
"""
_STYLED = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
# What a browser may take from it when the service itself shows it: this style, and the picture within it.
POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLED}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)


# What each analysis is called in the report, and what its picture shows, for who does not see it.
HEADINGS: dict[Analysis, tuple[str, str]] = {
    "relation": ("Do selective units matter more?", "Selectivity against importance, a dot a unit and a panel a site."),
    "importance": ("The units that matter most", "The most important units with their intervals, and all by rank."),
    "selectivity": ("How the layers are tuned", "The spread of the selectivity of each site's units."),
    "targeted": ("Does the order matter?", "Accuracy over the fraction of units lost, in each order."),
    "classes": ("Which classes break first", "Each class's accuracy over the fraction of units lost."),
    "noise": ("What noise does", "Accuracy as noise on all units grows."),
}


def html(evaluation: Evaluation, result: Result, standing: Standing | None = None, units: Sequence[Unit] = ()) -> str:
    """The whole document, with where the score stands if that is known. Equal results give equal bytes.

    units: rows of the table of units, if there is one.
    """
    title = f"{evaluation.model[7:15]} on {evaluation.dataset[7:15]}"
    ended, version = evaluation.ended_at or "", result.provenance.versions.get("lesion", __version__)
    parts = [
        f"<h1>Robustness of {title}</h1>",
        f'<p class="quiet">{escape(evaluation.id)}, ended {escape(ended)}, by Lesion {escape(version)}</p>',
        f'<p class="score">{_number(result.score)}</p>',
        f"<p>{escape(meaning(result))}</p>",
        "" if standing is None else f'<p class="quiet">{escape(standing.sentence)}</p>',
        _verdict(result),
        _listed("Beware", result.warnings),
        _picture(
            f"The curve: {metric(result)} over the fraction of units ablated; its numbers are in the table below.",
            plots.svg(result, title),
        ),
        "<h2>Figures</h2>" + _table((), _figures(result)),
    ]
    if result.layers:
        rows = [(each.site, str(each.units), _number(each.score), _number(each.auc)) for each in result.layers]
        parts.append("<h2>Each layer alone</h2>" + _table(("site", "units", "score", "area under the curve"), rows))
    if result.curve:
        points = [(f"{p.fraction:.3f}", f"{p.value:.3f}", f"{p.low:.3f}", f"{p.high:.3f}") for p in result.curve]
        parts.append("<h2>Curve</h2>" + _table(("fraction", metric(result), "low", "high"), points))
    if result.analyses is not None:
        parts.extend(_analysed(result.analyses, units, title))
    sites = [(site.site, site.op, str(site.units)) for site in result.sites]
    parts.append("<h2>Sites</h2>" + _table(("site", "operator", "units"), sites))
    parts.append(f"<h2>What it was made from</h2><pre>{escape(_provenance(evaluation))}</pre>")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Robustness of {title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _analysed(found: Analyses, units: Sequence[Unit], title: str) -> Iterable[str]:
    """Of each analysis its finding, if there is a sentence, its picture, and the units that matter most by name."""
    for name, (heading, about) in HEADINGS.items():
        section = getattr(found, name)
        if section is None:
            continue
        yield f"<h2>{heading}</h2>"
        finding = getattr(section, "finding", None)
        yield "" if finding is None else f"<p>{escape(finding)}</p>"
        yield _picture(about, analysis_plots.svg(name, found, units, title))
        if name == "importance" and found.importance is not None:
            yield _table(UNIT, _units(found.importance.top[:MOST_UNITS]))


UNIT = ("site", "unit", "cross-entropy added, nats", "accuracy lost", "selectivity")
MOST_UNITS = 20  # in the report's table


def _units(units: Iterable[schemas.Unit]) -> Iterable[tuple[str, ...]]:
    for unit in units:
        assert unit.importance is not None, "it is among the most important"
        selectivity = "none" if unit.selectivity is None else f"{unit.selectivity:.2f}"
        told = (_number(unit.importance.cross_entropy_added), _number(unit.importance.accuracy_lost))
        yield (unit.site, str(unit.unit), *told, selectivity)


def _picture(about: str, svg: bytes) -> str:
    return f'<img alt="{escape(about)}" src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}">'


def meaning(result: Result) -> str:
    """What the score says, in two sentences; or why there is none."""
    if result.score is None:
        return f"There is no score. {result.score_refused or ''}".strip()
    which = {"layer": "one layer's units", "paper": "the units of its last three convolutions"}
    score = result.score
    kept = (
        f"While more and more of {which.get(result.scope, 'its units')} are removed at random, from none to all, this "
        f"network keeps on average {score.value:.0%} ({score.low:.0%} to {score.high:.0%}) of its lead over the best "
        "constant answer."
    )
    if result.half_life is None:
        return f"{kept} 100% would be unhurt by any loss, 0% no better than a constant answer."
    return f"{kept} Half of that lead is gone once {result.half_life.value:.0%} of the units are."


def _figures(result: Result) -> list[tuple[str, str]]:
    confidence = 100 * float(result.provenance.config.get("confidence", 0.95))
    return [
        (f"intact {metric(result)}", _number(result.intact)),
        ("best constant answer", f"{result.chance:.3f}"),
        ("score", _number(result.score)),
        ("area under the curve", _number(result.auc)),
        ("half-life", _number(result.half_life)),
        ("scope, clamp, split", f"{result.scope}, {result.clamp}, {result.split or 'none named'}"),
        ("intervals", f"{confidence:g} %"),
        ("cost", f"{result.cost.passes:,} passes on {result.cost.device}"),
    ]


def _verdict(result: Result) -> str:
    if result.gate is None:
        return ""
    gate = dict(result.gate)
    return f"<h2>Verdict: {escape(str(gate['verdict']))}</h2>" + _listed("", map(str, gate.get("reasons", ())))


def _provenance(evaluation: Evaluation) -> str:
    told = {
        "model": evaluation.model,
        "dataset": evaluation.dataset,
        "config": evaluation.config.model_dump(exclude_none=True),
        "result_digest": evaluation.result_digest,
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _number(estimate: Estimate | None) -> str:
    return "none" if estimate is None else f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _listed(title: str, lines: Iterable[str]) -> str:
    entries = "".join(f"<li>{escape(line)}</li>" for line in lines)
    head = f"<h2>{title}</h2>" if title else ""
    return f"{head}<ul>{entries}</ul>" if entries else ""


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"
