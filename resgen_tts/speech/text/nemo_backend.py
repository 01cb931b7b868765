"""NVIDIA NeMo's English grammars, through nemo_text_processing (the leaf of that library)."""

import functools
from collections.abc import Callable

from resgen_tts.common.errors import require


@functools.cache
def reader() -> Callable[[str], str]:
    """One normaliser per process: it compiles its grammars when it is made, which takes a minute.

    Raises:
        MissingExtraError: nemo_text_processing is not installed.
    """
    module = require("nemo_text_processing.text_normalization.normalize", extra="nemo")
    normalizer = module.Normalizer(input_case="cased", lang="en")
    return functools.partial(normalizer.normalize, verbose=False, punct_post_process=True)
