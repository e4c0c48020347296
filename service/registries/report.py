"""An evaluation as one HTML page without outside assets: what MLflow shows beside a run's other artifacts."""

from html import escape

from service import plots
from service.registries.verdicts import Judged
from service.schemas import Estimate, Evaluation, Result

COLOURS = {"pass": "#1A7F37", "fail": "#B42318", "inconclusive": "#8A6100", None: "#4A4A4A"}
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}
h1{font-size:1.4rem}.verdict{display:inline-block;padding:.2rem .7rem;border-radius:.3rem;color:#fff;font-weight:700}
td,th{padding:.15rem 1.2rem .15rem 0;text-align:left;font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto}
code{overflow-wrap:anywhere}"""


def html(title: str, evaluation: Evaluation, result: Result, judged: Judged) -> str:
    """The page. Whatever came from a model or a registry is escaped."""
    rows = [
        (f"intact {result.metric}", _number(result.intact)),
        ("score", _number(result.score)),
        ("area under the curve", _number(result.auc)),
        ("chance", f"{result.chance:.3f}"),
        ("half-life", _number(result.half_life)),
        ("ablated", f"scope {result.scope}, clamp {result.clamp}, {sum(site.units for site in result.sites):,} units"),
        ("model", evaluation.model),
        ("dataset", evaluation.dataset),
        ("evaluation", evaluation.id),
    ]
    table = "".join(f"<tr><th scope=row>{escape(name)}<td><code>{escape(value)}</code>" for name, value in rows)
    warnings = "".join(f"<li>{escape(warning)}" for warning in result.warnings)
    picture = plots.svg(result, title).decode()
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{escape(title)}</h1><p><span class=verdict style='background:{COLOURS[judged.verdict]}'>"
        f"{escape(judged.verdict or 'scored')}</span> {escape(judged.reason)}</p>"
        f"{picture[picture.index('<svg') :]}<table>{table}</table>" + (f"<ul>{warnings}</ul>" if warnings else "")
    )


def _number(estimate: Estimate | None) -> str:
    return "none" if estimate is None else f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"
