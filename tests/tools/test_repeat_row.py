"""A row of a results log is made again by the commands that it carries: with real speech and real scorers."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.reports.results_log import MEASURED, ResultRow, append_result, read_results

SPEC = importlib.util.spec_from_file_location("repeat_row", Path(__file__).parents[2] / "tools" / "repeat_row.py")
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)

# A synthesizer as short as one can be: two voices of flite, two sentences each, and a clock that never stands still.
SYNTHESIZER = """
import argparse, shlex, subprocess, sys, time
from pathlib import Path
from resgen_tts.evaluation.protocols.synth_folder import SynthItem, write_synth

TEXTS = ("the doctor opened the window", "seven students waited behind the castle")
parser = argparse.ArgumentParser()
parser.add_argument("--output", type=Path, required=True)
root, items = parser.parse_args().output, []
for voice in ("rms", "slt"):
    for number, text in enumerate(TEXTS):
        name = f"{voice}-{number}"
        waves = {"clone": text, "prompt": TEXTS[1 - number]}
        for kind, said in waves.items():
            (root / kind).mkdir(parents=True, exist_ok=True)
            subprocess.run(["flite", "-voice", voice, "-t", said, "-o", str(root / kind / f"{name}.wav")], check=True)
        items.append(
            SynthItem(
                id=name, speaker=voice, target_id=f"t{number}", prompt_id=f"{voice}-p{number}", text=text,
                prompt_text=TEXTS[1 - number], systems={"clone": f"clone/{name}.wav"}, prompt=f"prompt/{name}.wav",
                seconds_of_audio=2.0, seconds_to_generate=time.time() % 1 + 0.01, seed=0,
            )
        )
run = {"command": shlex.join(["python", *sys.argv]), "commit": "c0ffee", "seed": 0, "hardware": "a machine"}
write_synth(root, items, run)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder whose README has the row of a synthesis and its scoring, made by the same commands."""
    for module in ("pocketsphinx", "webrtcvad"):
        pytest.importorskip(module, reason="the extra 'eval' is not installed; repeating a row is NOT tested")
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed; repeating a row is NOT tested (apt-get install flite)")
    root = tmp_path_factory.mktemp("made")
    (root / "make.py").write_text(SYNTHESIZER)
    (root / "README.md").write_text("# a recipe\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        tool.run(["python", "make.py", "--output", "exp/synth"])
        score = ["resgen-tts", "score", "--synth", "exp/synth", "--output", "exp/score", "--raters", "--worst", "0"]
        tool.run([*score, "--seed", "1", "--readme", "README.md"])
    return root


def repeat(readme, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["repeat_row.py", str(readme), *map(str, words)])
    return tool.main()


@pytest.mark.slow
def test_a_row_is_repeated_to_the_digit(made, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(made)
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    (row,) = read_results(made / "README.md")
    assert "make.py --output exp/synth && resgen-tts score " in row.command and "--seed 1" in row.command
    assert repeat("README.md", monkeypatch, "--work", tmp_path / "again") == 0
    captured = capfd.readouterr()
    assert captured.out == "" and "figures are the same to the digit" in captured.err
    assert "WARNING: HEAD is " in captured.err and "the row's commit is c0ffee" in captured.err
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before
    (again,) = read_results(tmp_path / "again" / tool.LOG)
    assert again.repeatable == row.repeatable and len(row.repeatable) > 10
    clocks = [{name: row.figures[name] for name in row.figures if name.startswith(MEASURED)} for row in (row, again)]
    assert clocks[0] and clocks[0] != clocks[1]  # the synthesis was done again, and yet the row counts as repeated


@pytest.mark.slow
def test_a_tampered_row_is_told_by_its_figure(made, tmp_path, monkeypatch, capfd):
    (row,) = read_results(made / "README.md")
    name = next(name for name in row.figures if name.startswith("clone SIM-o"))
    value = row.figures[name]
    digit = next(place for place in range(len(value) - 1, -1, -1) if value[place].isdigit())
    tampered = value[:digit] + str((int(value[digit]) + 1) % 10) + value[digit + 1 :]
    readme = tmp_path / "README.md"
    readme.write_text((made / "README.md").read_text().replace(f"{name}: {value}", f"{name}: {tampered}"))
    monkeypatch.chdir(made)
    assert repeat(readme, monkeypatch) == 2
    assert capfd.readouterr().out == f"{name}: logged {tampered}, now {value}\n"


def row_of(command, figures=None):
    return ResultRow(date="2026-11-21", commit="abc", hardware="h", command=command, figures=figures or {"WER": "3 %"})


def test_outputs_go_elsewhere_and_later_words_follow(tmp_path):
    command = (
        "resgen-tts synthesize-list --data data --model exp/a/model --output exp/a/ --seed 3 "
        "&& resgen-tts score --synth=exp/a --output exp/a/score --lm data/lm --waves ours=exp/a/wav"
    )
    first, second = tool.redirect(tool.commands_of(row_of(command)), tmp_path)
    assert (
        first == f"resgen-tts synthesize-list --data data --model exp/a/model --output {tmp_path}/0-a --seed 3".split()
    )
    assert (
        second
        == (
            f"resgen-tts score --synth={tmp_path}/0-a --output {tmp_path}/1-score --lm data/lm "
            f"--waves ours={tmp_path}/0-a/wav --readme {tmp_path}/README.md"
        ).split()
    )


def test_a_recipe_gets_folders_of_its_own(tmp_path, capsys):
    (words,) = tool.redirect(tool.commands_of(row_of("`bash egs/mini/run.sh` in a fresh clone (seed 0)")), tmp_path)
    assert words[:6] == f"bash egs/mini/run.sh --expdir {tmp_path}/exp --datadir {tmp_path}/data".split()
    assert words[6:] == ["--score_args", f"--readme {tmp_path}/README.md"]
    assert "not obeyed: in a fresh clone (seed 0)" in capsys.readouterr().err
    command = "bash egs/mini/run.sh --expdir exp/x --score-args '--readme egs/mini/README.md --seed 2'"
    (words,) = tool.redirect(tool.commands_of(row_of(command)), tmp_path)
    assert words[-1] == f"--readme egs/mini/README.md --seed 2 --readme {tmp_path}/README.md"
    assert words.index(f"{tmp_path}/exp") > words.index("exp/x")  # of two the last one counts


def test_code_spans_are_commands_one_after_another():
    row = row_of("`resgen-tts synth --output a` then `resgen-tts score --synth a --output 'b c'`")
    assert tool.commands_of(row) == [
        ["resgen-tts", "synth", "--output", "a"],
        ["resgen-tts", "score", "--synth", "a", "--output", "b c"],
    ]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("resgen-tts score --output a | tee log", "needs a shell"),
        ("resgen-tts score --output a; rm -r b", "needs a shell"),
        ("resgen-tts score --output 'a", "cannot be read"),
        ("&& resgen-tts score --output a", "not whole"),
        ("resgen-tts synthesize-list --output a", "does not score"),
        ("resgen-tts synth && resgen-tts score --output a", "no --output"),
    ],
)
def test_what_cannot_be_repeated_is_refused(command, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        tool.redirect(tool.commands_of(row_of(command)), tmp_path)


def test_a_failing_command_and_a_full_folder_end_with_2(tmp_path, monkeypatch, capfd):
    readme = tmp_path / "README.md"
    readme.write_text("# x\n")
    append_result(readme, row_of(f"resgen-tts score --synth {tmp_path}/none --output {tmp_path}/score"))
    assert repeat(readme, monkeypatch) == 2
    assert "ended with status" in capfd.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert repeat(readme, monkeypatch, "--work", tmp_path / "full") == 2
    assert "is not empty" in capfd.readouterr().err
    assert repeat(readme, monkeypatch, "--row", "4") == 2
    assert "has 1 rows" in capfd.readouterr().err


def test_every_figure_of_the_row_counts_and_no_clock():
    logged = row_of("x", {"WER": "3 %", "CER": "1 %", f"{MEASURED}speed": "0.1"})
    assert tool.differences(logged, row_of("x", {"WER": "3 %", "CER": "1 %", f"{MEASURED}speed": "0.2"})) == []
    found = tool.differences(logged, row_of("x", {"WER": "3.0 %"}))
    assert found == ["WER: logged 3 %, now 3.0 %", "CER: logged 1 %, now missing"]


def warned(commit, head, monkeypatch, capsys):
    monkeypatch.setattr(tool, "commit_hash", lambda: head)
    tool.warn_of_commit(ResultRow(date="d", commit=commit, hardware="h", command="x", figures={}))
    return capsys.readouterr().err


def test_either_commit_of_a_row_is_looked_at(monkeypatch, capsys):
    assert warned("abc", "abcdef", monkeypatch, capsys) == ""
    for head in ("abcdef", "def123"):
        told = warned("abc; scored at def", head, monkeypatch, capsys)
        assert "made at another commit than they were scored at" in told
        assert f"HEAD is {head}, the row's commit is abc; scored at def" in told
    assert "uncommitted" in warned("abc+dirty; scored at def", "def123", monkeypatch, capsys)
    assert "uncommitted" in warned("abc; scored at def+dirty", "abc123", monkeypatch, capsys)
    assert "HEAD is f00" in warned("abc", "f00", monkeypatch, capsys)
