"""The page to read and listen to: figures, how they were made, every item, and players and words of the worst ones.

It needs nothing from elsewhere, and no script: that one only makes the columns of the list of items sortable.
"""

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from resgen_tts.evaluation.measures.text_error import AlignedPiece
from resgen_tts.evaluation.protocols.synth_folder import SynthFolder
from resgen_tts.evaluation.reports.report import (
    NOT_MEASURED,
    embedded_note,
    facts,
    intervals_note,
    naturalness_figures,
    notes,
    table_rows,
    warnings,
)
from resgen_tts.evaluation.score_report import ItemScore, OutputScore, ScoreReport
from resgen_tts.evaluation.scores import worst_first

WORST = 20
OPEN_LIST = 100  # a longer list of items is folded until it is asked for

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222;
  background: #fff; }}
table {{ border-collapse: collapse; margin: 1em 0; }}
caption {{ text-align: left; color: #555; }}
th, td {{ border: 1px solid #ccc; padding: .25em .6em; text-align: left; vertical-align: top; }}
td {{ overflow-wrap: anywhere; }}
th button {{ all: unset; cursor: pointer; text-decoration: underline dotted; }}
th button:focus-visible, a:focus-visible, summary:focus-visible {{ outline: 2px solid #0047b3; }}
th[aria-sort=ascending] button::after {{ content: " \\2191"; }}
th[aria-sort=descending] button::after {{ content: " \\2193"; }}
.numbers td {{ font-variant-numeric: tabular-nums; }}
section section {{ border-top: 2px solid #888; margin-top: 2em; }}
audio {{ width: 16em; height: 2em; }}
img {{ max-width: 100%; }}
mark {{ color: #b30000; background: none; font-weight: bold; }}
del {{ color: #8a5a00; }}
ins {{ color: #0047b3; font-style: italic; }}
small {{ color: #555; }}
.warning {{ border: 2px solid #b30000; padding: .5em; font-weight: bold; }}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
{warning}
<nav aria-label="on this page"><a href="#figures">Figures</a> · <a href="#made">How this was made</a> ·
<a href="#all">All items</a> · <a href="#worst">The worst {worst}</a></nav>
</header>
<main>
<section id="figures">
<h2>Figures</h2>
<table>
{table}
</table>
<p>{intervals} {mark}</p>
{notes}
</section>
<section id="made">
<h2>How this was made</h2>
<table>
{facts}
</table>
</section>
<section id="all">
<h2>All items</h2>
<details{is_open}><summary>{count} items, the worst first</summary>
<table class="numbers" id="list">
<caption>WER in percent, similarity to the own prompt (SIM-o), length in seconds</caption>
<thead>
{list_head}
</thead>
<tbody>
{list_rows}
</tbody>
</table>
</details>
</section>
<section id="worst">
<h2>The worst {worst} items</h2>
<p>Recognised words: <mark>wrong word</mark> (with the word of the text), <del>missing word</del>,
<ins>added word</ins>. The worst item first.</p>
{items}
</section>
</main>
<script>
{script}
</script>
</body>
</html>
"""

# Numbers are compared as numbers; what was not measured stays last, whichever way a column is sorted.
_SCRIPT = """for (const head of document.querySelectorAll("#list thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const falls = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const body = document.querySelector("#list tbody"), column = head.cellIndex;
    const keyed = Array.from(body.rows, row => [row.cells[column].textContent, row]);
    const order = (a, b) => a.localeCompare(b, "en", {numeric: true});
    const number = text => text.trim() === "" ? NaN : Number(text);
    keyed.sort(([a], [b]) => {
      if ((a === "MISSING") !== (b === "MISSING")) return a === "MISSING" ? 1 : -1;
      const found = isNaN(number(a)) || isNaN(number(b)) ? order(a, b) : number(a) - number(b);
      return falls ? -found : found;
    });
    body.append(...keyed.map(([, row]) => row));
  });
}""".replace("MISSING", NOT_MEASURED)

_ITEM = """<section id="item-{id}">
<h3>{id} <small>speaker {speaker}, prompt {prompt_id}</small></h3>
<p>{text}</p>
<table>
<thead>
<tr><th scope="col">wave</th><th scope="col">listen</th><th scope="col">recognised</th>\
<th scope="col">leak, skip, repeat</th><th scope="col">WER</th><th scope="col">SIM-o</th>\
<th scope="col">nearest other</th><th scope="col">length</th>{extra}</tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
{picture}
{warnings}
<p><a href="#all">back to all items</a></p>
</section>"""


def html_page(
    report: ScoreReport,
    *,
    folder: SynthFolder,
    page: Path,
    pictures: Mapping[str, Path],
    title: str,
    worst: int = WORST,
) -> str:
    """The page as text; every link in it is relative to the page.

    Args:
        report: the scores.
        folder: the synth folder with the waves.
        page: where the page will be written.
        pictures: item id -> picture, for the items that have one.
        title: of the page.
        worst: how many items have players and words; all have a line in the list.
    """
    header, *rows = table_rows(report)
    ordered = worst_first(report)
    shown = told_items(report, worst)
    linked = {scored.item.id for scored in shown}
    remarks = notes(report)
    return _PAGE.format(
        title=html.escape(title),
        warning="\n".join(f'<p class="warning" role="note">{html.escape(warning)}</p>' for warning in warnings(report)),
        worst=len(shown),
        table="\n".join(["<thead>", _head(header), "</thead>", "<tbody>", *map(_row, rows), "</tbody>"]),
        intervals=html.escape(intervals_note(report)),
        mark=html.escape(embedded_note(report)) if report.embedded_scorers else "",
        notes="<ul>" + "".join(f"<li>{html.escape(remark)}</li>" for remark in remarks) + "</ul>" if remarks else "",
        facts="\n".join(_row(fact) for fact in facts(report)),
        is_open=" open" if len(ordered) <= OPEN_LIST else "",
        count=f"{len(ordered):,}",
        list_head=_list_head(report),
        list_rows="\n".join(_list_row(scored, report, linked) for scored in ordered),
        items="\n".join(_item(scored, report, folder, page, pictures) for scored in shown),
        script=_SCRIPT,
    )


def told_items(report: ScoreReport, worst: int) -> list[ItemScore]:
    """The worst items, those of which a page has players; trials whose waves are the same ones are told once."""
    told: dict[tuple[str, ...], ItemScore] = {}
    for scored in worst_first(report):
        waves = (output.wave for output in scored.outputs.values())
        told.setdefault((scored.item.target_id, *waves), scored)
    return list(told.values())[:worst]


def _list_head(report: ScoreReport) -> str:
    figures = [f"{name} {figure}" for name in report.systems for figure in ("WER", "SIM-o", "s")]
    return _head(("item", "speaker", *figures))


def _list_row(scored: ItemScore, report: ScoreReport, linked: set[str]) -> str:
    """One short line an item: a protocol has thousands."""
    name = html.escape(scored.item.id)
    told = f'<a href="#item-{name}">{name}</a>' if scored.item.id in linked else name
    cells = []
    for system in report.systems:
        output = scored.outputs[system]
        cells += [f"{100 * output.text.words.rate:.0f}", f"{output.speaker.own:.2f}", f"{output.seconds:.1f}"]
    return (
        f"<tr><td>{told}</td>"
        + "".join(f"<td>{cell}</td>" for cell in (html.escape(scored.item.speaker), *cells))
        + "</tr>"
    )


def _item(scored: ItemScore, report: ScoreReport, folder: SynthFolder, page: Path, pictures: Mapping[str, Path]) -> str:
    item, figures = scored.item, naturalness_figures(report)

    def player(name: str, relative: str) -> str:
        what = html.escape(f"{name} of {item.id}")
        return f'<audio controls preload="none" aria-label="{what}" src="{_link(folder.wave(relative), page)}"></audio>'

    prompts = [("prompt", item.prompt, item.prompt_text), ("prompt_copy", item.prompt_copy, "")]
    prompts += [("reference", item.reference, "")]
    rows = [
        _cells(name, [player(name, relative), f"<small>{html.escape(text)}</small>"] + [""] * (5 + len(figures)))
        for name, relative, text in prompts
        if relative is not None
    ]
    rows += [
        _cells(name, [player(name, output.wave), *_output_cells(output, figures)])
        for name, output in scored.outputs.items()
    ]
    picture = pictures.get(item.id)
    seen = html.escape(f"log-mel spectrograms of {item.id}")
    warned = "".join(f"<li>{html.escape(str(warning))}</li>" for warning in item.warnings)
    return _ITEM.format(
        id=html.escape(item.id),
        speaker=html.escape(item.speaker),
        prompt_id=html.escape(item.prompt_id),
        text=html.escape(item.text),
        extra="".join(f'<th scope="col">{html.escape(figure)}</th>' for figure in figures),
        rows="\n".join(rows),
        picture="" if picture is None else f'<img loading="lazy" src="{_link(picture, page)}" alt="{seen}">',
        warnings=f"<ul>{warned}</ul>" if warned else "",
    )


def _output_cells(output: OutputScore, figures: Sequence[str]) -> list[str]:
    words, voice = output.text.words, output.speaker
    return [
        _heard(output),
        _wrong_words(output),
        f"{100 * words.rate:.0f} % ({words.errors} of {words.reference_size})",
        f"{voice.own:.2f}",
        NOT_MEASURED
        if voice.nearest_other is None
        else f"{voice.nearest_other:.2f} ({html.escape(str(voice.nearest_other_speaker))})",
        f"{output.seconds:.2f} s"
        + (f" (x {output.length_ratio:.2f})" if output.length_ratio is not None else "")
        + (" silent" if output.is_silent else ""),
        *(_rating(output, figure) for figure in figures),
    ]


def _rating(output: OutputScore, figure: str) -> str:
    if figure in output.naturalness:
        return f"{output.naturalness[figure]:.2f}"
    first = figure.split()[0]
    return html.escape(next((code for rater, code in output.left_out.items() if rater.startswith(first)), NOT_MEASURED))


def _heard(output: OutputScore) -> str:
    kinds = [output.text] if output.second is None else [output.text, output.second.text]
    return "<br>".join(
        " ".join(_piece(piece) for piece in text.alignment) or "<small>nothing</small>" for text in kinds
    )


def _wrong_words(output: OutputScore) -> str:
    found = output.robustness
    kinds = {"leak": (output.second or output).robustness.leaked, "skip": found.skipped, "repeat": found.repeated}
    return "<br>".join(
        f"<small>{kind}:</small> {html.escape(words)}" for kind, entries in kinds.items() for words in entries
    )


def _piece(piece: AlignedPiece) -> str:
    said, heard = html.escape(" ".join(piece.reference)), html.escape(" ".join(piece.heard))
    if piece.kind == "equal":
        return heard
    if piece.kind == "substitute":
        return f"<mark>{heard}</mark><small> ({said})</small>"
    return f"<del>{said}</del>" if piece.kind == "delete" else f"<ins>{heard}</ins>"


def _link(target: Path, page: Path) -> str:
    relative = Path(os.path.relpath(target.resolve(), page.resolve().parent)).as_posix()
    # A leading "./" keeps a name with a colon from being read as a scheme.
    return html.escape(quote(f"./{relative}"))


def _cells(name: str, cells: Sequence[str]) -> str:
    """A row of cells that are markup already."""
    return f'<tr><th scope="row">{html.escape(name)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _row(cells: Sequence[str]) -> str:
    return _cells(cells[0], [html.escape(cell) for cell in cells[1:]])


def _head(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in cells) + "</tr>"
