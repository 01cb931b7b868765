"""The page to listen to: players, mel pictures and recognised words of each item, worst first."""

import html
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from resgen_tts.evaluation.measures.text_error import AlignedPiece
from resgen_tts.evaluation.reports.report import embedded_note, facts, table_rows
from resgen_tts.evaluation.scores import ItemScore, OutputScore, ScoreReport, worst_first

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222; }}
table {{ border-collapse: collapse; }}
th, td {{ border: 1px solid #ccc; padding: .25em .6em; text-align: left; vertical-align: top; }}
td {{ overflow-wrap: anywhere; }}
section {{ border-top: 2px solid #888; margin-top: 2em; }}
audio {{ width: 16em; height: 2em; }}
img {{ max-width: 100%; }}
.substitute {{ color: #b30000; font-weight: bold; }}
.delete {{ color: #8a5a00; text-decoration: line-through; }}
.insert {{ color: #0047b3; font-style: italic; }}
small {{ color: #555; }}
</style>
<h1>{title}</h1>
<table>
{table}
</table>
<p>Intervals: 95 %, bootstrap over items. {mark}</p>
{notes}
<details><summary>How this was made</summary>
<table>
{facts}
</table>
</details>
<p>Recognised words: <span class="substitute">wrong word</span> (with the word of the text),
<span class="delete">missing word</span>, <span class="insert">added word</span>. Worst items first.</p>
{items}
</html>
"""

_ITEM = """<section id="{id}">
<h2>{id} <small>speaker {speaker}, prompt {prompt_id}</small></h2>
<p>{text}</p>
<table>
<tr><th></th><th>listen</th><th>recognised</th><th>leak, skip, repeat</th><th>WER</th>\
<th>similarity to own prompt</th><th>nearest other</th><th>length</th></tr>
{rows}
</table>
{picture}
{warnings}
</section>"""


def html_page(report: ScoreReport, *, synth: Path, page: Path, pictures: Mapping[str, Path], title: str) -> str:
    """The page as text; every link in it is relative to the page.

    Args:
        report: the scores.
        synth: the synth folder with the waves.
        page: where the page will be written.
        pictures: item id -> picture, for the items that have one.
        title: of the page.
    """
    header, *rows = table_rows(report)
    table = [_row(header, "th"), *(_row(row, "td") for row in rows)]
    notes = [*report.notes, *(f"skipped {name}: {reason}" for name, reason in report.skipped.items())]
    if len(pictures) < len(report.items):
        notes.append(f"Pictures are drawn of {len(pictures)} of {len(report.items)} items.")
    return _PAGE.format(
        title=html.escape(title),
        table="\n".join(table),
        mark=html.escape(embedded_note(report)) if report.has_embedded_scorers else "",
        notes="<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in notes) + "</ul>" if notes else "",
        facts="\n".join(_row(fact, "td") for fact in facts(report)),
        items="\n".join(_item(scored, synth, page, pictures) for scored in worst_first(report)),
    )


def _item(scored: ItemScore, synth: Path, page: Path, pictures: Mapping[str, Path]) -> str:
    item = scored.item
    rows = [_prompt_row("prompt", _player(synth / item.prompt, page), item.prompt_text)]
    if item.prompt_copy:
        rows.append(_prompt_row("prompt_copy", _player(synth / item.prompt_copy, page), ""))
    rows += [_output_row(name, output, synth, page) for name, output in scored.outputs.items()]
    picture = pictures.get(item.id)
    drawn = "" if picture is None else f'<img loading="lazy" src="{_link(picture, page)}" alt="log-mel spectrograms">'
    warned = "".join(f"<li>{html.escape(str(warning))}</li>" for warning in item.warnings)
    return _ITEM.format(
        id=html.escape(item.id),
        speaker=html.escape(item.speaker),
        prompt_id=html.escape(item.prompt_id),
        text=html.escape(item.text),
        rows="\n".join(rows),
        picture=drawn,
        warnings=f"<ul>{warned}</ul>" if warned else "",
    )


def _prompt_row(name: str, player: str, text: str) -> str:
    said = f"<small>{html.escape(text)}</small>"
    return f"<tr><th>{html.escape(name)}</th><td>{player}</td><td>{said}</td>" + 5 * "<td></td>" + "</tr>"


def _output_row(name: str, output: OutputScore, synth: Path, page: Path) -> str:
    words, voice = output.text.words, output.speaker
    cells = [
        _player(synth / output.wave, page),
        _heard(output),
        _wrong_words(output),
        f"{100 * words.rate:.0f} % ({words.errors} of {words.reference_size})",
        f"{voice.own:.2f}",
        f"{voice.nearest_other:.2f} ({html.escape(voice.nearest_other_speaker)})",
        f"{output.seconds:.2f} s"
        + (f" (x {output.length_ratio:.2f})" if output.length_ratio is not None else "")
        + (" silent" if output.is_silent else ""),
    ]
    return f"<tr><th>{html.escape(name)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


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
        return f'<span class="substitute">{heard}</span><small> ({said})</small>'
    return f'<span class="{html.escape(piece.kind)}">{heard or said}</span>'


def _player(wave: Path, page: Path) -> str:
    return f'<audio controls preload="none" src="{_link(wave, page)}"></audio>'


def _link(target: Path, page: Path) -> str:
    relative = Path(os.path.relpath(target.resolve(), page.resolve().parent)).as_posix()
    # A leading "./" keeps a name with a colon from being read as a scheme.
    return html.escape(quote(f"./{relative}"))


def _row(cells: tuple[str, ...], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
