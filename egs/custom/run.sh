#!/usr/bin/env bash
# Your own recordings: a TSV or CSV (id, speaker, file, text) beside audio in any common format.
#   bash egs/custom/run.sh --data DIR [--pairs FILE] [--smoke] [--stage N] [--help] ...
set -euo pipefail
trap 'echo "egs/custom/run.sh: line $LINENO failed" >&2' ERR

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd -- "$here/../.." && pwd)"

bash "$root/tools/setup_env.sh"
exec bash "$root/recipes/tts.sh" --recipe "$here" --corpus custom "$@"
