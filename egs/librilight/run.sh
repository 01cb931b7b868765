#!/usr/bin/env bash
# The paper's tokenizers and vocoder: Mel-VAE (22.05 kHz, 32 levels), waveform codec (44.1 kHz, 72 levels).
#   bash egs/librilight/run.sh --data DIR [--codec] [--vocoder DIR] [--stage N] [--help] ...
# Until the corpus's own preparation stands here, DIR is read as egs/custom reads it: recordings and a table.
set -euo pipefail
trap 'echo "egs/librilight/run.sh: line $LINENO failed" >&2' ERR

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd -- "$here/../.." && pwd)"

bash "$root/tools/setup_env.sh"
exec bash "$root/recipes/tts.sh" --recipe "$here" --corpus custom --sample_rate 22050 "$@"
