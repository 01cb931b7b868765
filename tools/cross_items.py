"""A list of items that nobody has recorded: sentences crossed with the prompts of speakers.

    python tools/cross_items.py --prompts prompts.tsv --texts egs/studio/data/full --items 100 --output exp/real.tsv
    resgen-tts synthesize-list --model MODEL --item_list exp/real.tsv --output exp/real
    resgen-tts score --synth exp/real --lm egs/studio/data/full/lm --open_vocabulary true --output exp/real/score

``--prompts`` is a table with the columns speaker, audio (relative to it) and text, or a prepared corpus, of whose pairs
each speaker's first prompt is taken. ``--texts`` is a file with a sentence a line, or a prepared corpus, of whose pairs
the targets' sentences are taken. Every beginning of the list is balanced over sentences and speakers.
"""

import argparse
import sys
from pathlib import Path

from resgen_tts.common.errors import DataError, ResGenError
from resgen_tts.evaluation.protocols.item_list import Prompt, cross, first_prompts, read_prompts, write_list
from resgen_tts.evaluation.protocols.pairs import read_items


def prompts_of(source: Path) -> list[Prompt]:
    """The references of a table or of a prepared corpus.

    Raises:
        DataError: a reference is not a file.
    """
    prompts = first_prompts(read_items(source)) if source.is_dir() else read_prompts(source)
    missing = [str(prompt.audio) for prompt in prompts if not prompt.audio.is_file()]
    if missing:
        raise DataError(f"{source}: {len(missing)} references are no files, the first is {missing[0]}.")
    return prompts


def texts_of(source: Path) -> list[str]:
    """The sentences of a file or of a prepared corpus, each once.

    Raises:
        DataError: the file is missing or holds none.
    """
    if source.is_dir():
        lines = [item.text for item in read_items(source)]
    elif source.is_file():
        lines = source.read_text(encoding="utf-8").splitlines()
    else:
        raise DataError(f"{source} does not exist.", code="FILE_MISSING")
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not texts:
        raise DataError(f"{source} holds no sentence.", code="MANIFEST_EMPTY")
    return texts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True, help="a table, or a prepared corpus")
    parser.add_argument("--texts", type=Path, required=True, help="a file with a sentence a line, or a prepared corpus")
    parser.add_argument("--items", type=int, help="how many; left out: every sentence with every prompt")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--output", type=Path, required=True, help="the table to write")
    options = parser.parse_args()
    try:
        prompts, texts = prompts_of(options.prompts), texts_of(options.texts)
        items = cross(prompts, texts, num_items=options.items, seed=options.seed)
        write_list(options.output, items)
    except ResGenError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    speakers = len({item.speaker for item in items})
    used = len({item.target for item in items})
    print(f"{options.output}: {len(items)} items, {used} sentences, {speakers} speakers")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
