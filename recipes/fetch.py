"""Stage 0 where nothing is downloaded: say what the corpus will be made from, and what is missing.

python -m recipes.fetch --programs flite festival
python -m recipes.fetch --folder DIR
"""

import argparse
import shutil
import sys
from pathlib import Path

from resgen_tts.common.errors import DataError, ResGenError

TABLES = (".tsv", ".csv")


def check_programs(programs: list[str]) -> str:
    """One line on which of the synthesizers are there; none of them is needed, espeak comes with the package."""
    there = [program for program in programs if shutil.which(program)]
    absent = [program for program in programs if program not in there]
    line = f"synthesizers: {', '.join(there) if there else 'none'}, and espeak"
    if absent:
        line += f"; not installed: {', '.join(absent)} (bash tools/setup_env.sh says how), so there are fewer voices"
    return line


def check_folder(folder: Path) -> str:
    """One line on the tables found in a folder of recordings.

    Raises:
        DataError: no such folder, or no table in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.", code="CORPUS_MISSING", hint="Give --data DIR.")
    tables = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in TABLES)
    tables += sorted(f"{file.parent.name}/{file.name}" for file in folder.glob("*/*") if file.suffix.lower() in TABLES)
    if not tables:
        raise DataError(
            f"{folder} holds no .tsv or .csv.",
            code="CORPUS_NO_TABLE",
            hint="Put a table with the columns id, speaker, file, text beside the audio; see egs/custom/README.md.",
        )
    return f"tables: {', '.join(tables)}"


def main() -> int:
    known = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = known.add_mutually_exclusive_group(required=True)
    what.add_argument("--programs", nargs="+")
    what.add_argument("--folder", type=Path)
    options = known.parse_args()
    try:
        print(check_programs(options.programs) if options.programs else check_folder(options.folder))
    except ResGenError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
