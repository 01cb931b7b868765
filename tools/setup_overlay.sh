#!/usr/bin/env bash
# Make an environment that lies over .venv: it sees all that is installed there, torch too, and has what is new or of
# another version. Run it as often as you like: a finished one costs a fraction of a second.
#
#   bash tools/setup_overlay.sh codecs [--force]     .venv-codecs: what other projects published that our own code is
#       compared with. EnCodec, DAC and Vocos hold protobuf below 3.20; torch-fidelity, for figures of pictures, brings
#       torchvision, which transformers imports wherever it is installed
#   bash tools/setup_overlay.sh cluster [--force]    .venv-cluster: Ray Serve, 200 MB that only several machines need
#
#   --force makes it anew
set -euo pipefail

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname -- "$here")"
first="$root/.venv/bin/python"
trap 'echo "setup_overlay: line $LINENO failed; log: ${log:-none yet}" >&2' ERR

say() { echo "setup_overlay: $*" >&2; }

force=""
case "${2:-}" in
  "") ;;
  --force) force=1 ;;
  *) say "unknown option: $2 (see --help)"; exit 2 ;;
esac
case "${1:-}" in
  codecs)
    packages=(torchaudio encodec descript-audio-codec vocos torchvision torch-fidelity)
    modules=(dac encodec torch_fidelity torchaudio torchvision transformers vocos)
    ;;
  cluster)
    packages=("ray[serve]")
    modules=(ray.serve)
    ;;
  -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) say "there is no overlay '${1:-}' (see --help)"; exit 2 ;;
esac
venv="$root/.venv-$1"
python="$venv/bin/python"
marker="$venv/.resgen_tts_ready"
log="$venv/.setup.log"
own="$here/constraints-$1.txt"

fingerprint() { # of everything that decides what is in there, the environment below it among that
  { bash "$here/setup_env.sh" --fingerprint
    cat -- "$own" "$here/setup_overlay.sh"; } | sha256sum | cut -d' ' -f1
}

make_venv() {
  "$first" -m venv --clear --without-pip -- "$venv"
  echo '*' >"$venv/.gitignore"
  # Behind its own packages, those of .venv, and what their own .pth files add: the project itself.
  "$python" - "$("$first" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')" <<'PYTHON'
import pathlib, sys, sysconfig

line = f"import site; site.addsitedir({sys.argv[1]!r})\n"
pathlib.Path(sysconfig.get_paths()["purelib"], "below.pth").write_text(line, encoding="utf-8")
PYTHON
}

install_packages() {
  # The pins of .venv hold here too, but where these packages ask for others: pip refuses two pins of one name. Torch is
  # there already, of whichever build.
  local otherwise
  otherwise="$(sed -n 's/^\([a-z][a-z0-9-]*\)==.*/\1/p' -- "$own" | paste -sd'|')"
  cat -- "$own" >"$venv/constraints.txt"
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then # those of .venv start at Python 3.11
    grep -vE "^(torch|$otherwise)==" -- "$here/constraints.txt" >>"$venv/constraints.txt"
  fi
  "$python" -m pip install --disable-pip-version-check --no-input -c "$venv/constraints.txt" "${packages[@]}" \
    </dev/null >>"$log" 2>&1
}

works() { # torchaudio's and torchvision's wheels are linked with CUDA: only a CUDA build of torch needs no hooks
  "$python" - "${modules[@]}" >>"$log" 2>&1 <<'PYTHON'
import importlib, sys
from resgen_tts.common import wheel_hooks

wheel_hooks.install()
for name in sys.argv[1:]:
    importlib.import_module(name)
PYTHON
}

bash "$here/setup_env.sh"
if command -v flock >/dev/null; then # two terminals, one checkout
  exec 9>"$root/.venv.lock"
  flock -n 9 || { say "waiting for another set-up of this checkout"; flock 9; }
fi
if [[ -z "$force" && -x "$python" && -f "$marker" && "$(<"$marker")" == "$(fingerprint)" ]]; then exit 0; fi

started=$SECONDS
make_venv
: >"$log"
say "installing ${packages[*]} over .venv; progress: $log"
if ! install_packages || ! works; then
  tail -n 15 -- "$log" >&2
  say "stopped; the whole log is $log."
  exit 1
fi
fingerprint >"$marker.tmp"
mv -f -- "$marker.tmp" "$marker"
say "ready in $((SECONDS - started)) s: $venv"
