#!/usr/bin/env bash
# The corpus and the model in the box: ten hours of made speech, an open vocabulary, hundreds of speakers.
#   bash egs/studio/run.sh [--data DIR --config FILE] [--smoke] [--stage N] [--list-stages] [--help] ...
set -euo pipefail
trap 'echo "egs/studio/run.sh: line $LINENO failed" >&2' ERR

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd -- "$here/../.." && pwd)"

bash "$root/tools/setup_env.sh"
exec bash "$root/recipes/tts.sh" --recipe "$here" --corpus studio "$@"
