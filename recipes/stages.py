"""The stages of a speech recipe, from a corpus to an exported model: one table, and its command line.

python -m recipes.stages --recipe egs/mini --corpus mini [--stage N] [--stop_stage M] ...   (see --help)
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.stagelib.configuration import resolve
from recipes.stagelib.options import check_launch, extra_words, parse, parser, select
from recipes.stagelib.runner import Runner
from recipes.stagelib.stage import Command, Stage
from resgen_tts.common.errors import ConfigError, ResGenError

ROOT = Path(__file__).resolve().parent.parent

# Verbs that read a configuration: conf/<section>.yaml, and words from --<section>_args.
SECTIONS = ["prepare", "text", "mel_vae", "codec", "vocoder", "encode", "aligner", "align", "train"]
SECTIONS += ["synthesize", "score", "export"]

CORPORA = ("mini", "studio", "custom")
NAMED_FILES = {"texts": "prepare", "card": "export", "voices": "export"}  # options that name a file to read: section
GRIFFIN_LIM = "griffin_lim"  # the vocoder that needs no training


def table(
    corpus: str,
    *,
    smoke: bool = False,
    real: bool = False,
    pairs: bool = False,
    codec: bool = False,
    vocoder: str = "",
    named: Sequence[str] = (),
) -> list[Stage]:
    """The stages of a recipe: commands, and what they read and leave behind.

    Args:
        corpus: one of CORPORA; it decides stages 0 and 1.
        smoke: make a handful of clips instead of the whole corpus.
        real: studio: there are recordings ({corpus}) beside the made speech.
        pairs: the evaluation items are the user's ({pairs}) instead of the corpus's own choice.
        codec: train the waveform codec too.
        vocoder: a trained vocoder's folder ({vocoder}), or griffin_lim, instead of one trained here.
        named: which of NAMED_FILES the configuration names ({texts}, {card}, {voices}); the stage that reads them does
            so as it reads its other inputs.
    """
    manifests, text = "{data}/manifests", "{data}/text"
    mel_vae, aligner, generator = "{exp}/mel_vae", "{exp}/aligner", "{exp}/generator"
    wave_maker = "{vocoder}" if vocoder else "{exp}/vocoder"
    codes, synth, score, model = "{exp}/codes", "{exp}/synth", "{exp}/score", "{exp}/model"
    sources: tuple[str, ...] = ()  # of the corpus; none where nothing but the options decides it
    vocabulary: tuple[str, ...] = ()  # of a closed set of words, for the recogniser
    if corpus in ("mini", "studio"):
        fetch = "python -m recipes.fetch --programs flite festival"
        prepare = f"python -m recipes.corpora.{corpus} --output {{data}} --seed {{corpus_seed}} --nj {{nj}}"
        prepare += " --real {corpus}" if real else ""
        prepare += " --smoke" if smoke else ""
        sources = ("{corpus}",) if real else ()
        vocabulary = ("{data}/lm",)
    else:
        fetch = "python -m recipes.fetch --folder {corpus}"
        prepare = (
            "python -m recipes.corpora.custom --data {corpus} --output {data} --sample_rate {sample_rate} --nj {nj}"
        )
        prepare += " --pairs {pairs}" if pairs else ""
        sources = ("{corpus}", "{pairs}") if pairs else ("{corpus}",)

    def train(part: str, reads: str = "", section: str = "") -> tuple[Command, ...]:
        line = f"resgen-tts train {part} --data {{data}} {reads} --output {{exp}}/{part} --train.seed {{seed}}"
        return (Command(line=line, config=section or part, device="--train.device", ranks=True),)

    def verb(line: str, section: str) -> tuple[Command, ...]:
        return (Command(line=f"resgen-tts {line}", config=section),)

    closed = f" --lm {vocabulary[0]}" if vocabulary else ""

    # A trainer's folder also holds checkpoints and logs; what later stages read of it is the finished model.
    def final(part: str) -> str:
        return f"{part}/final"

    def read_by(section: str) -> tuple[str, ...]:
        return tuple(f"{{{name}}}" for name in named if NAMED_FILES[name] == section)

    vocoder_files = (wave_maker,) if vocoder else (final(wave_maker),)
    if vocoder == GRIFFIN_LIM:
        vocoder_files = ()
    return [
        Stage(number=0, name="fetch", home="data", commands=(Command(line=fetch),)),
        Stage(
            number=1,
            name="prepare",
            home="data",
            commands=(Command(line=prepare, config="prepare"),),
            inputs=(*sources, *read_by("prepare")),
            outputs=("{data}/audio", manifests, *vocabulary),
        ),
        Stage(
            number=2,
            name="text",
            home="data",
            commands=verb("text --data {data}", "text"),
            inputs=(manifests,),
            outputs=(text,),
        ),
        Stage(number=3, name="mel_vae", commands=train("mel_vae"), inputs=(manifests,), outputs=(mel_vae,)),
        Stage(number=4, name="codec", commands=train("codec"), inputs=(manifests,), outputs=("{exp}/codec",))
        if codec
        else Stage(number=4, name="codec", not_selected="tokens come from the Mel-VAE; --codec trains one beside it"),
        Stage(
            number=5,
            name="vocoder",
            commands=train("vocoder", f"--mel_vae {mel_vae}"),
            inputs=(manifests, final(mel_vae)),
            outputs=(wave_maker,),
        )
        if not vocoder
        else Stage(number=5, name="vocoder", not_selected=f"the vocoder is {vocoder}"),
        Stage(
            number=6,
            name="encode",
            commands=(
                *verb(f"encode --data {{data}} --mel_vae {mel_vae} --output {codes}", "encode"),
                *train("aligner", f"--codes {codes}"),
                *verb(f"align --codes {codes} --aligner {aligner}", "align"),
            ),
            inputs=(manifests, text, final(mel_vae)),
            outputs=(codes, aligner),
        ),
        Stage(
            number=7,
            name="train",
            commands=train("generator", f"--codes {codes} --aligner {aligner} --mel_vae {mel_vae}", "train"),
            inputs=(codes, final(aligner), final(mel_vae)),
            outputs=(generator,),
        ),
        Stage(
            number=8,
            name="synthesize",
            commands=verb(
                f"synthesize-list --data {{data}} --mel_vae {mel_vae} --vocoder {wave_maker} --generator {generator}"
                f" --output {synth} --seed {{seed}}",
                "synthesize",
            ),
            inputs=(manifests, final(mel_vae), *vocoder_files, final(generator)),
            outputs=(synth,),
        ),
        Stage(
            number=9,
            name="score",
            commands=verb(f"score --synth {synth} --output {score} --nj {{nj}}{closed}", "score"),
            inputs=(synth, *vocabulary),
            outputs=(score,),
        ),
        Stage(
            number=10,
            name="export",
            commands=verb(
                f"export --exp {{exp}} --output {model} --report {score}/report.md"
                + (f" --vocoder {wave_maker}" if vocoder else ""),
                "export",
            ),
            inputs=(final(mel_vae), *vocoder_files, final(generator), score, *read_by("export")),
            outputs=(model,),
        ),
    ]


def arguments() -> argparse.ArgumentParser:
    """The shared options and the ones of speech."""
    stages = [(stage.number, stage.name) for stage in table("mini")]
    known = parser("tts.sh", "From a corpus to a scored, exported model, stage by stage.", stages, SECTIONS)
    corpus = known.add_argument_group("corpus")
    corpus.add_argument("--recipe", required=True, metavar="DIR", help="the recipe's folder: conf/, and data/ and exp/")
    corpus.add_argument("--cwd", default=os.getcwd(), metavar="DIR", help="where relative paths start from")
    corpus.add_argument("--corpus", required=True, choices=CORPORA, help="how stages 0 and 1 get the data")
    corpus.add_argument(
        "--data", default="", metavar="DIR", help="custom: folder of recordings and table; studio: the same, if any"
    )
    corpus.add_argument(
        "--pairs", default="", metavar="FILE", help="custom: evaluation items (default: drawn from test)"
    )
    corpus.add_argument("--sample_rate", type=int, default=16000, help="custom: rate of the prepared audio, in Hz")
    corpus.add_argument("--codec", action="store_true", help="train the waveform codec too (stage 4)")
    corpus.add_argument("--vocoder", default="", metavar="DIR", help="a trained vocoder, or griffin_lim (no stage 5)")
    corpus.add_argument("--corpus_seed", type=int, default=0, help="mini, studio: seed of the corpus itself")
    return known


def place(path: str, cwd: str) -> str:
    """A path as the verbs get it: from the checkout's root where it lies in it, absolute elsewhere; "" stays ""."""
    if not path:
        return ""
    full = Path(cwd) / Path(path).expanduser()
    return str(full.relative_to(ROOT)) if full.is_relative_to(ROOT) else str(full)


def named_files(configs: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What the configuration names of NAMED_FILES, as paths from the checkout's root.

    Of a table of voices it is the folder, where its recordings and their notices lie too.
    """
    named = {name: configs[section].get(name) for name, section in NAMED_FILES.items()}
    files = {name: Path(str(file)) for name, file in named.items() if file}
    return {name: str(file.parent if name == "voices" else file) for name, file in files.items()}


def build(options: argparse.Namespace) -> Runner:
    """The runner of a command line.

    Raises:
        ConfigError: options that contradict each other, or a configuration that cannot be read.
    """
    check_launch(options.ngpu, options.num_nodes, options.nj)
    if options.corpus == "custom" and not options.data:
        raise ConfigError("--data DIR is needed: the folder of your recordings and their table.", code="CORPUS_MISSING")
    if options.pairs and options.corpus != "custom":
        raise ConfigError(f"--pairs is for the corpus 'custom'; {options.corpus!r} makes its own.")
    if options.data and options.corpus == "mini":
        raise ConfigError("--data is for the corpora 'custom' and 'studio'; 'mini' makes its own.")
    kind, tag = ("smoke", options.tag or "smoke") if options.smoke else ("full", options.tag or "base")
    recipe = place(options.recipe, options.cwd)
    vocoder = options.vocoder if options.vocoder == GRIFFIN_LIM else place(options.vocoder, options.cwd)
    if vocoder and (ROOT / vocoder / "final").is_dir():
        vocoder = f"{vocoder}/final"  # of a training run, the finished model
    fields = {
        "data": place(options.datadir, options.cwd) or f"{recipe}/data/{kind}",
        "exp": place(options.expdir, options.cwd) or f"{recipe}/exp/{tag}",
        "corpus": place(options.data, options.cwd),
        "pairs": place(options.pairs, options.cwd),
        "vocoder": vocoder,
        "seed": str(options.seed),
        "corpus_seed": str(options.corpus_seed),
        "sample_rate": str(options.sample_rate),
        "nj": str(options.nj),
        "ngpu": "" if options.ngpu is None else str(options.ngpu),
    }
    override = ROOT / place(options.config, options.cwd) if options.config else None
    configs = resolve(ROOT / recipe / "conf", SECTIONS, smoke=options.smoke, override=override)
    if options.corpus == "studio" and configs["prepare"].get("real_list") and not options.data:
        raise ConfigError("prepare.real_list names tables of --data DIR, which is not given.", code="CORPUS_MISSING")
    own = resolve(ROOT / recipe / "conf", ["export"], smoke=options.smoke, override=None)["export"].get("card")
    heard_more = options.corpus == "studio" and options.data and configs["export"].get("card") == own
    if options.smoke or heard_more:  # a recipe's own card is true of its full size, and without recordings
        configs["export"].pop("card", None)
    named = named_files(configs)
    return Runner(
        root=ROOT,
        stages=table(
            options.corpus,
            smoke=options.smoke,
            real=options.corpus == "studio" and bool(options.data),
            pairs=bool(options.pairs),
            codec=options.codec,
            vocoder=vocoder,
            named=tuple(named),
        ),
        fields=fields | named,
        configs=configs,
        extra=extra_words(options, SECTIONS),
    )


def show_report(runner: Runner) -> None:
    """Print the report that scoring left."""
    report = runner.path("{exp}/score/report.md")
    if report.is_file():
        print(f"\n{report.read_text(encoding='utf-8').rstrip()}\n\nreport: {report}")


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit status."""
    options = parse(arguments(), argv)
    try:
        runner = build(options)
        selected = select(runner.stages, first=options.stage, last=options.stop_stage, names=options.stages)
        if options.print_config:
            print(runner.resolved(), end="")
        elif options.list_stages:
            print(runner.listing())
        elif options.dry_run:
            print(runner.plan(selected, force=options.force))
        else:
            runner.run(selected, force=options.force)
            if any(stage.name in ("score", "export") for stage in selected):
                show_report(runner)
    except ResGenError as error:
        print(f"tts.sh: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
