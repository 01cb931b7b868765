#!/usr/bin/env bash
# From nothing to a cloned voice, on a corpus made on the spot. Some 25 minutes on two idle cores; --smoke: under 3.
#   bash egs/mini/run.sh [--smoke] [--stage N] [--stop_stage M] [--list-stages] [--help] ...
set -euo pipefail
trap 'echo "egs/mini/run.sh: line $LINENO failed" >&2' ERR

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd -- "$here/../.." && pwd)"

bash "$root/tools/setup_env.sh"
exec bash "$root/recipes/tts.sh" --recipe "$here" --corpus mini "$@"
