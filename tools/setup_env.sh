#!/usr/bin/env bash
# Make .venv beside this checkout with everything that the README's two commands need. Run it as often as you like:
# a finished environment costs a fraction of a second, a half-made or broken one is mended.
#
#   bash tools/setup_env.sh [--force | --fingerprint]     anew; or only print what the environment is keyed by
#
#   RESGEN_TTS_PYTHON       the Python to build with (3.10 or newer; otherwise the first good one found)
#   RESGEN_TTS_TORCH        cpu | cuda   (otherwise: cuda where an NVIDIA driver is loaded, cpu elsewhere)
#   RESGEN_TTS_TORCH_INDEX  a wheel index to take torch from; without it pip's own sources are asked first, then, for a
#                           CPU build, PyTorch's CPU index
#   RESGEN_TTS_NO_APT       any value: never touch system packages
set -euo pipefail

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname -- "$here")"
venv="$root/.venv"
python="$venv/bin/python"
marker="$venv/.resgen_tts_ready"
log="$venv/.setup.log"
cpu_index="${RESGEN_TTS_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}"
synthesizer_packages=( # and the sentences that they read in egs/studio
  flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts festlex-cmu festlex-poslex wordnet-base
)
trap 'echo "setup_env: line $LINENO failed; log: $log" >&2' ERR

say() { echo "setup_env: $*" >&2; }

torch_flavour() {
  if [[ -n "${RESGEN_TTS_TORCH:-}" ]]; then
    echo "$RESGEN_TTS_TORCH"
  elif [[ -e /proc/driver/nvidia/version || -e /usr/lib/wsl/lib/libcuda.so.1 ]]; then
    echo cuda
  else
    echo cpu
  fi
}

fingerprint() { # of everything that decides what is in .venv; the path too, for an environment does not survive a move
  { cat -- "$root/pyproject.toml" "$root/setup.py" "$here/constraints.txt" "$here/setup_env.sh"
    echo "$flavour ${RESGEN_TTS_TORCH_INDEX:-} ${RESGEN_TTS_PYTHON:-} $venv"; } | sha256sum | cut -d' ' -f1
}

find_python() {
  local candidate
  for candidate in "${RESGEN_TTS_PYTHON:-python3}" python3.12 python3.11 python3.13 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>>/dev/null; then
      command -v -- "$candidate"
      return
    fi
    if [[ -n "${RESGEN_TTS_PYTHON:-}" ]]; then
      say "RESGEN_TTS_PYTHON=$RESGEN_TTS_PYTHON is not a working Python 3.10 to 3.13."
      return 1
    fi
  done
  say "no Python 3.10 to 3.13 found. Install one, or name it: RESGEN_TTS_PYTHON=/path/to/python3 bash tools/setup_env.sh"
  return 1
}

may_apt() { [[ -z "${RESGEN_TTS_NO_APT:-}" && "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; }

apt_install() { # packages... ; the index is only refreshed when it does not know them
  local options=(-y --no-install-recommends -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=120)
  export DEBIAN_FRONTEND=noninteractive
  apt-get install "${options[@]}" -- "$@" </dev/null >>"$log" 2>&1 && return
  apt-get update -o Acquire::Retries=1 -o Acquire::http::Timeout=20 </dev/null >>"$log" 2>&1 || true
  apt-get install "${options[@]}" -- "$@" </dev/null >>"$log" 2>&1
}

missing_synthesizers() {
  local package
  if command -v dpkg-query >/dev/null; then
    for package in "${synthesizer_packages[@]}"; do
      [[ "$(dpkg-query -W -f='${db:Status-Status}' -- "$package" 2>/dev/null || true)" == installed ]] || echo "$package"
    done
  else
    for package in flite festival; do command -v -- "$package" >/dev/null || echo "$package"; done
  fi
}

install_synthesizers() {
  local missing=()
  mapfile -t missing < <(missing_synthesizers)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if may_apt; then
    say "installing what makes the corpora of egs/mini and egs/studio with apt: ${missing[*]}"
    if apt_install "${missing[@]}"; then return; fi
    say "apt could not install them (log: $log)."
  fi
  report_synthesizers
}

report_synthesizers() {
  local missing=()
  mapfile -t missing < <(missing_synthesizers)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "not installed: ${missing[*]}. Without the synthesizers egs/mini and egs/studio speak with espeak's voices alone; without wordnet-base egs/studio has no sentences. To have them: apt-get install ${missing[*]}"
}

install_compiler() { # pyworld and webrtcvad come as source
  local header
  header="$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"] + "/Python.h")')"
  local missing=()
  command -v g++ >/dev/null || command -v clang++ >/dev/null || missing+=(g++)
  [[ -e "$header" ]] || missing+=(python3-dev)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if may_apt; then
    say "installing with apt, to build pyworld and webrtcvad: ${missing[*]}"
    if apt_install "${missing[@]}"; then return; fi
  fi
  say "no ${missing[*]}: pyworld and webrtcvad can only be installed where wheels of them are to be had."
}

make_venv() {
  if [[ -x "$python" ]] && "$python" -m pip --version >/dev/null 2>&1 && [[ -z "$force" ]]; then return; fi
  if [[ -e "$venv" || -L "$venv" ]]; then say "making .venv anew"; fi
  local base
  base="$(find_python)"
  if "$base" -m venv --clear -- "$venv" >/dev/null 2>&1; then return; fi
  if may_apt; then # Debian keeps ensurepip in a package of its own
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv </dev/null >/dev/null 2>&1 || true
  fi
  "$base" -m venv --clear -- "$venv" || {
    say "$base cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
    return 1
  }
}

pip_install() { "$python" -m pip install --disable-pip-version-check --no-input "${constraints[@]}" "$@" </dev/null >>"$log" 2>&1; }

install_torch() {
  local spec="torch>=2.4,<2.14" version=""
  if [[ ${#constraints[@]} -gt 0 ]]; then
    version="$(sed -n 's/^torch==//p' "$here/constraints.txt")"
    spec="torch==$version"
  fi
  if [[ -n "${RESGEN_TTS_TORCH_INDEX:-}" ]]; then
    pip_install --extra-index-url "$RESGEN_TTS_TORCH_INDEX" "$spec"
  elif [[ "$flavour" == cuda ]]; then
    # The plain version is the CUDA build; a local CPU wheel would win over it by its longer version.
    if ! pip_install "$spec${version:+,!=$version+cpu}"; then
      say "the CUDA build of torch is not to be had here; taking what pip finds. The GPU may stay unused."
      pip_install "$spec"
    fi
  elif [[ "$(uname -s)" == Darwin ]]; then
    pip_install "$spec"
  elif [[ -n "$version" ]] && pip_install "$spec+cpu"; then
    return # pip's own sources (a find-links folder, a mirror) have the CPU build
  elif index_answers && pip_install --extra-index-url "$cpu_index" "$spec"; then
    return
  else
    say "no CPU build of torch is to be had here; taking the general build, larger but at home without a GPU too."
    pip_install "$spec"
  fi
}

index_answers() {
  "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=10)' \
    "$cpu_index" >>"$log" 2>&1
}

install_packages() {
  say "installing torch ($flavour build), then the rest; progress: $log"
  install_torch || return
  cd -- "$root"
  if pip_install -e ".[all]"; then return; fi
  # One extra that cannot be built must not take the package with it: say which, and go on with the others.
  pip_install -e ".[test]" || return
  local extra
  for extra in corpus hf bench formats demo serve eval; do
    pip_install -e ".[$extra]" || { say "the extra [$extra] could not be installed (log: $log)."; lacking+=("$extra"); }
  done
}

stands() { # a glance that costs no import; works() looks closely
  "$python" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "lhotse", "resgen_tts"))))' \
    >/dev/null 2>&1
}

works() { "$python" -c 'import torch, numpy, librosa, lhotse, pytest, resgen_tts' >>"$log" 2>&1; }

show_log_and_stop() {
  tail -n 15 -- "$log" >&2 || true
  say "stopped; the whole log is $log. Run the same command again to go on from here."
  exit 1
}

force=""
case "${1:-}" in
  "") ;;
  --force) force=1 ;;
  --fingerprint) flavour="$(torch_flavour)" && fingerprint && exit 0 ;;
  -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) say "unknown option: $1 (see --help)"; exit 2 ;;
esac
flavour="$(torch_flavour)"
if [[ "$flavour" != cpu && "$flavour" != cuda ]]; then say "RESGEN_TTS_TORCH must be cpu or cuda, got $flavour"; exit 2; fi

if command -v flock >/dev/null; then # two terminals, one environment
  exec 9>"$root/.venv.lock"
  flock -n 9 || { say "waiting for another set-up of this checkout"; flock 9; }
fi

if [[ -z "$force" && -f "$marker" && "$(head -n1 -- "$marker")" == "$(fingerprint)" ]] && stands; then
  sed -n '2,$p' -- "$marker" >&2 # what could not be installed is said every time
  report_synthesizers
  exit 0
fi

started=$SECONDS
make_venv
rm -f -- "$marker"
: >"$log"
constraints=(-c "$here/constraints.txt")
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  constraints=() # the pinned versions start at Python 3.11
  say "Python 3.10: the tested versions do not exist for it, taking the newest that do."
fi
install_synthesizers
install_compiler
lacking=()
install_packages || show_log_and_stop
if ! works; then # files that an interruption left half-written can pass for installed
  say "the environment does not import; making it anew"
  force=1
  make_venv
  lacking=()
  install_packages || show_log_and_stop
  works || show_log_and_stop
fi
{
  fingerprint
  for extra in ${lacking[@]+"${lacking[@]}"}; do
    echo "setup_env: without the extra [$extra], which could not be built here; to try again: bash tools/setup_env.sh --force"
  done
} >"$marker.tmp"
mv -f -- "$marker.tmp" "$marker"
say "ready in $((SECONDS - started)) s: $venv"
