"""AudioSeal's published networks as safetensors, so that daily use reads no pickle.

    python tools/convert_audioseal.py downloads/generator_base.pth downloads/detector_base.pth models/audioseal
    resgen-tts synth --text "Hello." --output hello.wav --watermark audioseal:models/audioseal

The names of the tensors stay; what else is in the files is left out.
"""

import argparse
import sys
from pathlib import Path

from resgen_tts.apps.provenance.audioseal import PARTS
from resgen_tts.common.errors import ResGenError, require
from resgen_tts.common.run_dir import sha256_file, write_bytes
from resgen_tts.common.weight_files import read_weights


def convert(source: Path, output: Path) -> str:
    """Write one network's tensors as `load_audioseal` reads them; the source's SHA-256.

    Raises:
        CheckpointError: the source holds something else than what plain tensors need.
    """
    from safetensors.torch import save

    _allow_settings()
    digest = sha256_file(source) if source.is_file() else ""
    tensors = {
        name: value.contiguous().clone()
        for name, value in read_weights(source, allow_pickle=True, inside="model").items()
    }
    write_bytes(output, save(tensors, metadata={"format": "pt", "source": source.name, "source_sha256": digest}))
    return digest


def _allow_settings() -> None:
    """Let settings of the training be read that lie beside the tensors as omegaconf's containers, which run nothing."""
    import collections
    import typing

    import torch

    omegaconf = require("omegaconf", extra="audioseal")
    containers = [omegaconf.DictConfig, omegaconf.ListConfig, omegaconf.AnyNode]
    facts = [omegaconf.base.ContainerMetadata, omegaconf.base.Metadata]
    plain = [collections.defaultdict, typing.Any, dict, list, int]
    torch.serialization.add_safe_globals([*containers, *facts, *plain])


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in PARTS:
        parser.add_argument(part, type=Path, help="the published .pth; it is read as plain tensors only")
    parser.add_argument("folder", type=Path, help="that gets generator.safetensors and detector.safetensors")
    options = parser.parse_args(arguments)
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source = getattr(options, part)
            digest = convert(source, options.folder / f"{part}.safetensors")
            sys.stdout.write(f"{source.name}, SHA-256 {digest}\n")
    except ResGenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
