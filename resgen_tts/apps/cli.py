"""``resgen-tts VERB``: one table of verbs, each imported only when it is called."""

import contextlib
import difflib
import errno
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """Where a verb is, and what it does.

    Args:
        module: under ``resgen_tts.apps``.
        function: in it. One that does not read its own words is called with its parameters as options.
        about: one line of help.
        reads_words: whether the function takes the list of words.
    """

    module: str
    function: str
    about: str
    reads_words: bool = True


VERBS: dict[str, Verb] = {
    "synth": Verb("speaking.synth", "synth", "speak a text in the voice of a reference recording"),
    "batch": Verb("speaking.batch", "batch", "speak all texts of a list, each into a file"),
    "voice": Verb("speaking.voice", "voice", "keep reference recordings as voices, list and remove them"),
    "demo": Verb("demo.demo", "demo", "clone voices in a browser, on this machine"),
    "serve": Verb("serving.serve", "serve", "answer requests for speech over HTTP"),
    "detect": Verb("provenance.detect", "detect", "look whether recordings were spoken here"),
    "doctor": Verb("doctor.doctor", "doctor", "look whether all that is needed is here, and say how to mend it"),
    "bugreport": Verb("doctor.bugreport", "bugreport", "collect what somebody who mends a mistake needs to know"),
    "completion": Verb("completion", "completion", "print what lets a shell complete verbs and options"),
    "text": Verb("corpus.text", "prepare_text", "normalise transcripts and collect the symbol inventory", False),
    "train": Verb("training.train", "main", "train one part of the system"),
    "encode": Verb("corpus.file_codes", "encode_main", "turn a recording into codes, or a corpus into shards of codes"),
    "decode": Verb("corpus.file_codes", "decode_main", "turn a recording's codes back into sound"),
    "encode-images": Verb("corpus.encode_images", "encode_images", "turn pictures into codes", False),
    "align": Verb("corpus.encode", "align", "add durations to encoded shards", False),
    "score-alignment": Verb(
        "scoring.score_alignment", "main", "measure an aligner's borders of words against known ones"
    ),
    "protocol": Verb("scoring.protocol", "main", "build the items of an evaluation's protocol"),
    "synthesize-list": Verb("scoring.synthesize", "synthesize_list", "speak all items of an evaluation", False),
    "score": Verb("scoring.score", "main", "score an evaluation's waves"),
    "score-tokenizer": Verb(
        "scoring.score_tokenizer", "main", "score a tokenizer's copies of recordings, depth by depth"
    ),
    "score-image-tokenizer": Verb(
        "scoring.score_image_tokenizer", "score_image_tokenizer", "the same for pictures", False
    ),
    "score-images": Verb("scoring.score_images", "score_images", "score generated pictures beside real ones", False),
    "bench": Verb("bench.schemes", "main", "measure the schemes of generating codes beside one another"),
    "export": Verb("weights.export", "export", "put the trained parts into one folder", False),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        the process's exit status: 0 ok, 1 a mistake of this program, 2 bad input, 3 something needed is missing here,
        75 try again, 130 interrupted, 141 nobody reads on, 143 terminated.
    """
    # Spinning OpenMP threads cost a small shared machine up to a hundredfold; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")

    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from resgen_tts import __version__

        print(__version__)
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(VERBS)}"
        print(f"USAGE: no verb {name!r}; {hint}", file=sys.stderr)
        return 2
    is_verbose = bool({"-v", "--verbose"} & set(_options(rest)))
    words = [word for word in _options(rest) if word not in ("-v", "--verbose")] + rest[len(_options(rest)) :]
    return _run(name, words, is_verbose)


def _help() -> str:
    rows = "\n".join(f"  {name:21} {verb.about}" for name, verb in VERBS.items())
    return f"usage: resgen-tts VERB [options]\n\n{rows}\n\nresgen-tts VERB --help tells a verb's options."


def _options(words: Sequence[str]) -> list[str]:
    """The words before ``--``, behind which nothing is an option."""
    return list(words[: words.index("--")] if "--" in words else words)


def _run(name: str, words: list[str], is_verbose: bool) -> int:
    """Call a verb; what it raises becomes a line on standard error and an exit status."""
    from resgen_tts.common.errors import ResGenError

    try:
        with _stopped_by_sigterm(name):
            call_verb(name, words)
            sys.stdout.flush()  # whoever reads may have gone: told here, not while Python ends
        return 0
    except ResGenError as error:
        return _told(str(error), error.exit_code, is_verbose)
    except BrokenPipeError:
        # Python would flush it again on its way out, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _told("OUTPUT_CLOSED: nobody reads on at standard output", 141, is_verbose)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _told(f"DISK_FULL: {error}. Make room, or write elsewhere.", 3, is_verbose)
        return _told(f"OS_ERROR: {error}", 2, is_verbose)
    except _Terminated:
        return _told("terminated", 143)
    except KeyboardInterrupt:
        return _told("interrupted", 130)
    except SystemExit as stop:  # of a parser: help, or a usage error that it has already printed
        return stop.code if isinstance(stop.code, int) else 2
    except Exception as error:
        hint = (
            "This is a mistake of the program, not yours. Please report it, with what: resgen-tts bugreport collects."
        )
        return _told(f"INTERNAL: {type(error).__name__}, told above. {hint}", 1, True)


def _told(line: str, status: int, with_traceback: bool = False) -> int:
    if with_traceback:
        traceback.print_exc()
    print(line, file=sys.stderr)
    return status


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


def call_verb(name: str, words: list[str]) -> None:
    """Call a verb with its words; what it raises is not handled."""
    verb = VERBS[name]
    function = getattr(importlib.import_module(f"resgen_tts.apps.{verb.module}"), verb.function)
    if verb.reads_words:
        function(words)
        return
    from resgen_tts.apps.options import call

    call(function, words, name)


if __name__ == "__main__":
    sys.exit(main())
