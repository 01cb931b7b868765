"""Command lines: how the words of a verb are read."""

import re
from collections.abc import Callable, Sequence


def underscored(arguments: Sequence[str]) -> list[str]:
    """The same words with option names in underscores: options may be written with dashes or underscores."""
    return [re.sub(r"^--[a-z][a-z-]*", lambda name: "--" + name[0][2:].replace("-", "_"), word) for word in arguments]


def call(function: Callable, arguments: Sequence[str], verb: str) -> None:
    """Call a function with its parameters read from a command line."""
    from jsonargparse import auto_cli

    auto_cli(function, args=underscored(arguments), as_positional=False, prog=f"resgen-tts {verb}")
