#!/usr/bin/env bash
# Say a sentence with the model that comes with this checkout. The first call makes .venv (some minutes, needs a package
# index); every later one starts at once and needs no network.
#
#   bash tools/quickstart.sh "Any sentence." [--voice NAME | --ref FILE [--ref-text TEXT]] [--output FILE] [--seed N]
#   bash tools/quickstart.sh --list-voices
#
#   --voice NAME     one of the voices of --list-voices; otherwise the model's first one
#   --ref FILE       a recording of the voice to speak in, 3 to 12 s work best
#   --ref-text TEXT  what is said in it; left out, it is transcribed and shown
#   --output FILE    .wav, .flac, .mp3 or .opus file to write, which must not exist; else speech.wav, speech-2.wav, ... here
#   --seed N         the same seed speaks the same samples; otherwise drawn
#
# The last line says file, seconds, real-time factor, seed and model. More options: resgen-tts synth --help
set -euo pipefail
trap 'echo "tools/quickstart.sh: line $LINENO failed" >&2' ERR

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname -- "$here")"

refuse() { # code, what and what to do
  echo "$1: $2" >&2
  exit 2
}

text="" has_text="" voice="" ref="" ref_text="" output="" seed="" list=""
take_text() {
  [[ -z "$has_text" ]] || refuse USAGE "more than one text: '$text' and '$1'. Put quotation marks around the whole sentence."
  text="$1" has_text=1
}

while [[ $# -gt 0 ]]; do
  case "$1" in
    --voice=* | --ref=* | --ref-text=* | --output=* | --seed=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
  esac
  case "$1" in
    --voice | --ref | --ref-text | --output | --seed)
      [[ $# -ge 2 && -n "$2" ]] || refuse USAGE "$1 wants a value; see --help."
      case "$1" in
        --voice) voice="$2" ;;
        --ref) ref="$2" ;;
        --ref-text) ref_text="$2" ;;
        --output) output="$2" ;;
        --seed) seed="$2" ;;
      esac
      shift 2
      ;;
    --list-voices) list=1 && shift ;;
    -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    --) # whatever follows is text, with a dash in front too
      shift
      while [[ $# -gt 0 ]]; do take_text "$1" && shift; done
      ;;
    -*) refuse USAGE "unknown option $1; see --help. A text that begins with a dash goes behind --" ;;
    *) take_text "$1" && shift ;;
  esac
done

# What can be known to fail is told before minutes are spent on the environment.
if [[ -n "$list" ]]; then
  [[ -z "$has_text$voice$ref$ref_text$output$seed" ]] || refuse USAGE "--list-voices stands alone."
else
  [[ -n "$has_text" ]] || refuse USAGE 'no text. For example: bash tools/quickstart.sh "Any sentence."'
  [[ "$text" == *[![:space:]]* ]] || refuse TEXT_EMPTY "there is nothing to say. Pass words."
  [[ -z "$voice" || -z "$ref" ]] || refuse USAGE "--voice and --ref are two voices; give one."
  [[ -z "$ref_text" || -n "$ref" ]] || refuse USAGE "--ref-text goes with --ref."
  [[ -z "$ref" || -e "$ref" ]] || refuse AUDIO_NOT_FOUND "$ref was not found. Check its name."
  [[ -z "$seed" || "$seed" =~ ^[0-9]+$ ]] || refuse USAGE "--seed is a whole number of 0 or more, got $seed."
  if [[ -n "$output" && "$output" != - ]]; then
    [[ ! -e "$output" ]] || refuse OUTPUT_EXISTS "$output exists. Remove it, or name another file."
    [[ -d "$(dirname -- "$output")" ]] || refuse OUTPUT_FOLDER_MISSING "the folder of $output does not exist. Make it first."
  fi
fi

bash "$here/setup_env.sh" || {
  echo "quickstart: there is no environment to speak in; what went wrong is told above." >&2
  exit 3
}
source "$here/activate.sh"
unset OMP_WAIT_POLICY GOMP_SPINCOUNT # for many programs at once; this one speaks alone, 1.4 times faster without them

if [[ -n "$list" ]]; then
  exec resgen-tts voice list --model mini
fi

words=(synth "--text=$text")
[[ -z "$voice" ]] || words+=("--voice=$voice")
[[ -z "$ref" ]] || words+=("--ref-audio=$ref")
[[ -z "$ref_text" ]] || words+=("--ref-text=$ref_text")
[[ -z "$seed" ]] || words+=("--seed=$seed")
if [[ -n "$output" ]]; then
  exec resgen-tts "${words[@]}" "--output=$output"
fi

# A name of its own, kept from the moment it is chosen: two calls at once must not write one file.
number=1 output=speech.wav
until (set -o noclobber && : >"$output") 2>/dev/null; do
  [[ -e "$output" || -L "$output" ]] || refuse OUTPUT_NOT_WRITABLE "no file can be made in $PWD. Name one elsewhere with --output."
  number=$((number + 1)) output="speech-$number.wav"
done
trap '[[ -s "$output" ]] || rm -f -- "$output"' EXIT
status=0
resgen-tts "${words[@]}" "--output=$output" --force || status=$?
exit "$status"
