"""``resgen-tts VERB``: one table of verbs, each imported only when it is called."""

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator

VERBS: dict[str, tuple[str, str, str]] = {
    # verb: module under apps, function, one line of help. A function that takes `arguments` parses them itself.
    "synth": ("speaking.synth", "synth", "speak a text in the voice of a reference recording"),
    "voice": ("speaking.voice", "voice", "keep reference recordings as voices, list and remove them"),
    "text": ("corpus.text", "prepare_text", "normalise transcripts and collect the symbol inventory"),
    "train": ("training.train", "main", "train one part of the system"),
    "encode": ("corpus.file_codes", "encode_main", "turn a recording into codes, or a corpus into shards of codes"),
    "decode": ("corpus.file_codes", "decode_main", "turn a recording's codes back into sound"),
    "encode-images": ("corpus.encode_images", "encode_images", "turn pictures into codes"),
    "align": ("corpus.encode", "align", "add durations to encoded shards"),
    "score-alignment": ("scoring.score_alignment", "main", "measure an aligner's borders of words against known ones"),
    "protocol": ("scoring.protocol", "main", "build the items of an evaluation's protocol"),
    "synthesize-list": ("scoring.synthesize", "synthesize_list", "speak all items of an evaluation"),
    "score": ("scoring.score", "main", "score an evaluation's waves"),
    "score-tokenizer": ("scoring.score_tokenizer", "main", "score a tokenizer's copies of recordings, depth by depth"),
    "score-image-tokenizer": ("scoring.score_image_tokenizer", "score_image_tokenizer", "the same for pictures"),
    "score-images": (
        "scoring.score_images",
        "score_images",
        "score generated pictures beside real ones",
    ),
    "bench": ("bench.schemes", "main", "measure the schemes of generating codes beside one another"),
    "export": ("weights.export", "export", "put the trained parts into one folder"),
}
_OWN_PARSERS = {
    "synth", "train", "encode", "decode", "protocol", "score", "score-alignment", "score-tokenizer", "voice", "bench",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the process's exit status (0 ok, 1 internal, 2 bad input, 3 environment, 75, 130, 143)."""
    # Spinning OpenMP threads cost a small shared machine up to a hundredfold; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    from resgen_tts import __version__
    from resgen_tts.common.errors import ResGenError

    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: resgen-tts VERB [options]\n\n" + "\n".join(f"  {v:21} {h}" for v, (_, _, h) in VERBS.items()))
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(__version__)
        return 0
    verbose = "-v" in arguments
    rest = [argument for argument in arguments[1:] if argument != "-v"]
    if arguments[0] not in VERBS:
        print(f"USAGE: no verb {arguments[0]!r}; there are {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        with _stopped_by_sigterm(arguments[0]):
            _call(arguments[0], rest)
        return 0
    except ResGenError as error:
        if verbose:
            traceback.print_exc()
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if verbose:
            traceback.print_exc()
        print(f"OS_ERROR: {error}", file=sys.stderr)
        return 2
    except _Terminated:
        print("terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except SystemExit as stop:  # argparse: help, or a usage error that it has already printed
        return stop.code if isinstance(stop.code, int) else 2


class _Terminated(KeyboardInterrupt):
    """SIGTERM, on the path of Ctrl-C: what is half written is cleaned up on the way out."""


@contextlib.contextmanager
def _stopped_by_sigterm(verb: str) -> Iterator[None]:
    """SIGTERM raises :class:`_Terminated` inside; not for ``train``, which has its own way (``engine.signals``)."""
    is_main = threading.current_thread() is threading.main_thread()  # elsewhere Python allows no handler
    if verb == "train" or not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    owner, last = os.getpid(), float("-inf")

    def stop(number: int, _frame: object) -> None:
        nonlocal last
        if os.getpid() != owner:  # a forked worker, which has nothing to clean up
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now, before = time.monotonic(), last
        last = now
        if now - before > 1:  # timeout(1) sends two, to the process and to its group; the second must not stop cleanup
            raise _Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _call(verb: str, arguments: list[str]) -> None:
    module, name, _ = VERBS[verb]
    function = getattr(importlib.import_module(f"resgen_tts.apps.{module}"), name)
    if verb in _OWN_PARSERS:
        function(arguments)
        return
    from resgen_tts.apps.options import call

    call(function, arguments, verb)


if __name__ == "__main__":
    sys.exit(main())
