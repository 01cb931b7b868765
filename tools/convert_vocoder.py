"""A published vocoder as a part's folder: safetensors and a configuration, so that daily use reads no pickle.

    python tools/convert_vocoder.py bigvgan_22khz_80band exp/bigvgan --allow-pickle
    python tools/convert_vocoder.py downloads/vocos-mel-24khz exp/vocos --allow-pickle

The first downloads from the Hugging Face hub; the second reads a folder with the published files.
"""

import argparse
import sys
from pathlib import Path

from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.engine.checkpoint import save_model
from resgen_tts.tokenizers.published_vocoders import PUBLISHED, load_published
from resgen_tts.tokenizers.vocoder_kinds import kind_of


def convert(source: str, output: Path, *, like: str = "", allow_pickle: bool = False) -> None:
    """Read what is published and write what ``load_vocoder`` reads."""
    if Path(source).exists() and Path(source).resolve() in (output.resolve(), *output.resolve().parents):
        raise ConfigError(f"{output} is replaced as a whole and must not be, or lie in, the source.")
    vocoder = load_published(source, like=like, allow_pickle=allow_pickle)
    facts = {"part": "vocoder", "kind": kind_of(vocoder), "source": Path(source).name}
    config = facts | {"model": to_plain(vocoder.config)}
    save_model(output, vocoder.state_dict(), config)


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help=f"a folder, a weights file, or one of {', '.join(PUBLISHED)}")
    parser.add_argument("output", type=Path, help="folder to write; replaced as a whole")
    parser.add_argument("--like", default="", help="published name whose configuration a local file has")
    parser.add_argument(
        "--allow_pickle", "--allow-pickle", action="store_true", help="read a pickle, as plain tensors only"
    )
    options = parser.parse_args(arguments)
    try:
        convert(options.source, options.output, like=options.like, allow_pickle=options.allow_pickle)
    except ResGenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
