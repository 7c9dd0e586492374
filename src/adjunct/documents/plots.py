"""A simulated exposure as a picture: one panel an analyte, a band, a line a model, a mark a dose; and its table.

Altair draws; vl-convert makes SVG or PNG of it without a browser. Both come with `pip install adjunct[plots]`.
Colours are those of Okabe and Ito, which people with any common colour blindness tell apart; dashes repeat the message.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from adjunct.base import BadInput, shown

PANEL = (640, 300)  # pixels
SCALE = 2.0  # PNG pixels for each of those
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (10, 4), (4, 4), (1, 3))
BAND_OPACITY = 0.18
DOSE_SIZE = 90
LINE_WIDTH = 2
TITLE_SIZE = 14
LABEL_LIMIT = 420
GREY = "#595959"
FORMATS = (".svg", ".png")
UNUSED = ' xmlns:xlink="http://www.w3.org/1999/xlink"'  # nothing in these pictures links anywhere


def draw(exposure: Mapping[str, Any], path: Path) -> tuple[Path, Path]:
    """Write the picture of `Exposure.to_dict()` to `path` (.svg or .png) and its table beside it (.csv)."""
    if path.suffix not in FORMATS:
        raise BadInput(f"a plot is written as {' or '.join(FORMATS)}, not {shown(path.name)}", "--plot")
    try:
        chart = _chart(exposure)
        import vl_convert
    except ImportError as missing:
        raise BadInput(f"plots need {missing.name}: install adjunct[plots]", "--plot") from None
    spec = chart.to_json()
    twin = path.with_suffix(".csv")
    try:
        if path.suffix == ".svg":
            svg = vl_convert.vegalite_to_svg(spec).replace(UNUSED, "")
            path.write_text(_with_title(svg, exposure), encoding="utf-8")
        else:
            path.write_bytes(vl_convert.vegalite_to_png(spec, scale=SCALE))
        twin.write_text(table(exposure), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror or error}", str(path)) from None
    return path, twin


def table(exposure: Mapping[str, Any]) -> str:
    """The same numbers as CSV: a row for each time, analyte and model; an empty cell is a value nobody published."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("analyte", "model", "time_h", "typical", "p5", "p95", "unit"))
    for analyte, model, curve in _curves(exposure):
        for at in zip(curve["time_h"], curve["typical"], *_band(curve), strict=True):
            rows.writerow((analyte, model, *("" if v is None else f"{v:.6g}" for v in at), curve["unit"]))
    return text.getvalue()


ENVELOPE = "all models together"


def _curves(exposure: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every curve with its analyte and model; the envelope over the models comes first."""
    for name, analyte in exposure["analytes"].items():
        if len(exposure["models"]) > 1:
            yield name, ENVELOPE, analyte["curve"]
        for model in exposure["models"]:
            if name in model["analytes"]:
                yield name, model["id"], model["analytes"][name]["curve"]


def _band(curve: Mapping[str, Any]) -> tuple[list[float | None], list[float | None]]:
    nothing: list[float | None] = [None] * len(curve["time_h"])
    return curve["p5"] or nothing, curve["p95"] or nothing


def _chart(exposure: Mapping[str, Any]) -> Any:
    import altair as alt

    models = [m["id"] for m in exposure["models"]]
    names = [ENVELOPE, *models] if len(models) > 1 else models
    colours = [GREY, *PALETTE] if len(models) > 1 else list(PALETTE)
    scale = alt.Scale(domain=names, range=[colours[i % len(colours)] for i in range(len(names))])
    dashes = alt.Scale(domain=names, range=[list(DASHES[i % len(DASHES)]) for i in range(len(names))])
    panels = [_panel(alt, exposure, analyte, scale, dashes) for analyte in exposure["analytes"]]
    heading = alt.TitleParams(
        text=_heading(exposure), subtitle=_subtitle(exposure), anchor="start", fontSize=TITLE_SIZE, subtitleColor=GREY
    )
    return alt.vconcat(*panels, title=heading).configure_view(strokeWidth=0).configure_legend(labelLimit=LABEL_LIMIT)


def _panel(alt: Any, exposure: Mapping[str, Any], analyte: str, colour: Any, dash: Any) -> Any:
    unit = exposure["analytes"][analyte]["curve"]["unit"]
    lines, bands = [], []
    for name, model, curve in _curves(exposure):
        if name != analyte:
            continue
        low, high = _band(curve)
        for t, typical, p5, p95 in zip(curve["time_h"], curve["typical"], low, high, strict=True):
            if typical is not None:
                lines.append({"t": t, "c": typical, "model": model})
            if p5 is not None and p95 is not None:
                bands.append({"t": t, "low": p5, "high": p95, "model": model})
    if len(exposure["models"]) > 1:
        bands = [b for b in bands if b["model"] == ENVELOPE] or _between_models(lines)
    x = alt.X("t:Q", title="time since the first dose (h)")
    legend = alt.Legend(
        title=None, orient="bottom", columns=2, symbolType="stroke", symbolStrokeWidth=LINE_WIDTH, symbolOpacity=1
    )
    tint = alt.Color("model:N", scale=colour, legend=legend)
    parts = [
        alt.Chart(alt.Data(values=bands))
        .mark_area(opacity=BAND_OPACITY)
        .encode(x=x, y="low:Q", y2="high:Q", color=tint),
        alt.Chart(alt.Data(values=lines))
        .mark_line(strokeWidth=LINE_WIDTH)
        .encode(
            x=x,
            y=alt.Y("c:Q", title=f"{analyte} ({unit})"),
            color=tint,
            strokeDash=alt.StrokeDash("model:N", scale=dash, legend=legend),
        ),
        alt.Chart(alt.Data(values=[{"t": dose["start_h"]} for dose in exposure["models"][0]["administrations"]]))
        .mark_point(shape="triangle-up", filled=True, size=DOSE_SIZE, color=PALETTE[-1], opacity=1)
        .encode(x="t:Q", y=alt.value(PANEL[1])),
    ]
    return alt.layer(*parts).properties(width=PANEL[0], height=PANEL[1])


def _between_models(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where no variability was published the band is what lies between the models, and the subtitle says so."""
    span: dict[float, list[float]] = {}
    for point in lines:
        span.setdefault(point["t"], []).append(point["c"])
    return [{"t": t, "low": min(c), "high": max(c), "model": ENVELOPE} for t, c in span.items() if len(c) > 1]


def _heading(exposure: Mapping[str, Any]) -> str:
    return f"Predicted, not measured: {exposure['drug']}, {dose_words(exposure['dose'])}, {exposure['route']}"


def dose_words(dose: Mapping[str, Any]) -> str:
    """A dose as it was asked: amount, length of an infusion and what interrupted it, how often, what was missed."""
    parts = [dose["text"], dose["over"] and f"over {dose['over']}"]
    parts += [f"held at {pause['at_h']:.3g} h for {pause['for_h']:.3g} h" for pause in dose["pauses"]]
    parts += [dose["stop_h"] and f"stopped at {dose['stop_h']:.3g} h", dose["repeat"]]
    parts += [dose["missed"] and f"without dose {', '.join(str(n) for n in dose['missed'])}"]
    return " ".join(part for part in parts if part)


def _subtitle(exposure: Mapping[str, Any]) -> list[str]:
    if any(curve["p5"] for _, _, curve in _curves(exposure)):
        band = "Band: 90 % of people in the models that publish how people differ"
    elif len(exposure["models"]) > 1:
        band = "Band: the range between the models"
    else:
        band = "No band: one model, and nobody published how people differ"
    return [
        f"{band}. Line: the typical person of a model. Black triangles: doses.",
        f"Published models; sources and limits: adjunct models MODEL. Knowledge {exposure['knowledge']['version']}.",
    ]


def _with_title(svg: str, exposure: Mapping[str, Any]) -> str:
    """A screen reader says what a picture without a title cannot."""
    start = svg.index(">", svg.index("<svg"))
    peaks = "; ".join(
        f"{name}: highest typical level {cmax['typical']:.3g} {cmax['unit']}"
        for name, cmax in ((name, a["metrics"]["cmax"]) for name, a in exposure["analytes"].items())
        if cmax["typical"] is not None
    )
    told = escape(f"{peaks}. The numbers stand in the table beside this file.")
    words = f"<title>{escape(_heading(exposure))}</title><desc>{told}</desc>"
    return f'{svg[:start]} role="img"{svg[start : start + 1]}{words}{svg[start + 1 :]}'
