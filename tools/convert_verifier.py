"""UniSpeech's published speaker verifier as safetensors, so that daily use reads no pickle.

    python tools/convert_verifier.py downloads/wavlm_large_finetune.pth exp/wavlm_large_finetune.safetensors

The names of the tensors stay, all of them are looked at, and the classifier of the training's speakers is left out.
"""

import argparse
import sys
from pathlib import Path

from resgen_tts.common.errors import ConfigError, ResGenError
from resgen_tts.common.run_dir import sha256_file, write_bytes
from resgen_tts.evaluation.judges.unispeech_verifier import PUBLISHED_SHA256, load_verifier, published_names


def convert(source: Path, output: Path) -> str:
    """Read what is published and write what `UniSpeechVerifier` reads without a pickle; the source's SHA-256.

    Raises:
        ConfigError: the output would not be a ``.safetensors``.
        CheckpointError: as in `UniSpeechVerifier`.
    """
    from safetensors.torch import save

    if output.suffix != ".safetensors":
        raise ConfigError(f"{output} does not end in .safetensors, by which such a file is known.")
    network = load_verifier(source, allow_pickle=True)
    names, digest = published_names(network), sha256_file(source)
    tensors = {names[name]: value.contiguous() for name, value in network.state_dict().items()}
    write_bytes(output, save(tensors, metadata={"format": "pt", "source": source.name, "source_sha256": digest}))
    return digest


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the published .pth; it is read as plain tensors only")
    parser.add_argument("output", type=Path, help="the .safetensors to write")
    options = parser.parse_args(arguments)
    try:
        digest = convert(options.source, options.output)
    except ResGenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    known = "the published file" if digest == PUBLISHED_SHA256 else "NOT the file that published tables are made with"
    sys.stdout.write(f"{options.source.name}, SHA-256 {digest}: {known}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
