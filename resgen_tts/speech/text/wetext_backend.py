"""WeTextProcessing's English grammars, through wetext (the leaf of that library)."""

import functools
from collections.abc import Callable

from resgen_tts.common.errors import require


@functools.cache
def reader() -> Callable[[str], str]:
    """One normaliser per process: it reads its grammars when it is made.

    Raises:
        MissingExtraError: wetext is not installed.
    """
    return require("wetext", extra="wetext").Normalizer(lang="en", operator="tn").normalize
