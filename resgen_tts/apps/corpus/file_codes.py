"""``encode FILE`` and ``decode FILE``: one recording to a file of codes, and back."""

import argparse
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.common.errors import AudioError, ConfigError, DataError
from resgen_tts.common.run_dir import write_bytes
from resgen_tts.core.code_space import code_space_hash
from resgen_tts.tokenizers.contract import Tokenizer, bitrate_kbps

FORMAT = "resgen_codes_1"  # the metadata's name in the file
_VOCODER_HELP = "vocoder of a Mel-VAE: a trained one's folder, or griffin_lim"


@dataclass(frozen=True, kw_only=True)
class FileCodes:
    """The codes of one recording, and what is needed to decode them."""

    codes: Int[Tensor, "T D"]
    num_samples: int  # of the recording, at sample_rate
    sample_rate: int  # Hz
    tokenizer: str  # as given on the command line
    vocoder: str  # likewise; empty where the tokenizer has none
    code_space: str  # hash of the codebooks


_FACTS = {"num_samples": int, "sample_rate": int, "tokenizer": str, "vocoder": str, "code_space": str}


def write_codes(path: Path, content: FileCodes, codebook_size: int) -> None:
    """Write codes as safetensors, in 16 bits where they fit; whole or not at all."""
    from safetensors.torch import save

    small = torch.int16 if codebook_size <= 2**15 else torch.int32
    facts = {name: getattr(content, name) for name in _FACTS}
    # One entry: safetensors writes several in an order of chance, and equal content should give equal bytes.
    data = save({"codes": content.codes.to(small).contiguous()}, metadata={FORMAT: json.dumps(facts)})
    write_bytes(path, data)


def read_codes(path: Path) -> FileCodes:
    """Read what ``write_codes`` wrote.

    Raises:
        DataError: FILE_MISSING, or the file is broken or of another kind.
    """
    import safetensors

    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="FILE_MISSING")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = (file.metadata() or {}).get(FORMAT)
            codes = None if facts is None else file.get_tensor("codes")
        if codes is None or codes.dim() != 2 or codes.is_floating_point() or 0 in codes.shape:
            raise DataError(f"{path} holds no codes of a recording.", hint="Write them with: resgen-tts encode FILE")
        facts = json.loads(facts)
        if any(not isinstance(facts.get(name), kind) for name, kind in _FACTS.items()) or facts["num_samples"] < 1:
            raise ValueError(f"its facts are {facts}")
        return FileCodes(codes=codes.long(), **{name: facts[name] for name in _FACTS})
    except (safetensors.SafetensorError, AttributeError, ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as codes: {error}.", hint="Encode the recording again.") from error


def encode_wave(tokenizer: Tokenizer, samples: Float[np.ndarray, "N"]) -> Int[Tensor, "T D"]:
    """Codes of one wave at the tokenizer's rate, followed by silence up to a whole code frame so that no end is lost.

    Raises:
        AudioError: AUDIO_TOO_SHORT, the wave is shorter than one frame.
    """
    if len(samples) < tokenizer.hop_samples:
        seconds = len(samples) / tokenizer.sample_rate
        raise AudioError(
            f"the recording lasts {seconds:.3f} s, less than one code frame of this tokenizer "
            f"({tokenizer.hop_samples / tokenizer.sample_rate:.3f} s).",
            code="AUDIO_TOO_SHORT",
        )
    whole = torch.nn.functional.pad(torch.from_numpy(samples), (0, -len(samples) % tokenizer.hop_samples))
    with torch.inference_mode():
        codes, frames = tokenizer.encode(whole[None], torch.tensor([len(whole)]))
    return codes[0, : int(frames[0])]


def decode_wave(tokenizer: Tokenizer, codes: Int[Tensor, "T L"]) -> Float[np.ndarray, "N"]:
    """Wave of one recording's codes, or of their coarsest levels."""
    with torch.inference_mode():
        wave, lengths = tokenizer.decode(codes[None], torch.tensor([len(codes)]))
    return wave[0, : int(lengths[0])].float().numpy()


def warm_up(tokenizer: Tokenizer) -> None:
    """One second of silence to codes and back: first calls allocate and choose kernels, which is not the speed."""
    decode_wave(tokenizer, encode_wave(tokenizer, np.zeros(tokenizer.sample_rate, np.float32)))


def check_codes(content: FileCodes, tokenizer: Tokenizer, where: Path) -> None:
    """Refuse codes that the tokenizer did not make.

    Raises:
        DataError: CODES_OF_ANOTHER_TOKENIZER, or a code or level that its codebooks do not have.
    """
    space = tokenizer.code_space
    if content.code_space != code_space_hash(space) or content.sample_rate != tokenizer.sample_rate:
        raise DataError(
            f"{where} holds codes of another tokenizer (code space {content.code_space}, {content.sample_rate} Hz), "
            f"not of this one ({code_space_hash(space)}, {tokenizer.sample_rate} Hz).",
            code="CODES_OF_ANOTHER_TOKENIZER",
            hint=f"Pass --tokenizer with the one that encoded it: {content.tokenizer}.",
        )
    low, high = int(content.codes.min()), int(content.codes.max())
    if content.codes.shape[1] > space.depth or low < 0 or high >= space.codebook_size:
        raise DataError(
            f"{where} holds {content.codes.shape[1]} levels of codes {low}..{high}; the tokenizer has {space.depth} "
            f"of 0..{space.codebook_size - 1}.",
            hint="The file is damaged: encode the recording again.",
        )


def encode_main(arguments: list[str]) -> None:
    """The verb ``encode``: with ``--data``, or a configuration that holds it, a corpus; otherwise one recording."""
    if not any(re.match(r"--(data|config)(=|$)", word) for word in arguments):
        encode_file(arguments)
        return
    from resgen_tts.apps.corpus.encode import encode
    from resgen_tts.apps.options import call

    call(encode, arguments, "encode")


def encode_file(arguments: list[str]) -> None:
    """Turn one recording into a file of codes.

    Raises:
        ConfigError: OUTPUT_EXISTS, OUTPUT_FOLDER_MISSING.
        AudioError: the recording is refused.
    """
    parser = argparse.ArgumentParser(
        prog="resgen-tts encode",
        description=encode_file.__doc__.splitlines()[0],
        epilog="A whole corpus: encode --data DIR --mel_vae DIR --output DIR; all of it: encode --data DIR --help.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="recording: WAV, FLAC, OGG, MP3 or AIFF")
    parser.add_argument(
        "--tokenizer", required=True, help="folder of a trained one, or encodec:, dac:, mimi: and a name"
    )
    parser.add_argument("--vocoder", default="", help=_VOCODER_HELP)
    parser.add_argument("--output", type=Path, required=True, help="file of codes to write")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    options = parser.parse_args(arguments)
    _check_output(options.output, options.force)

    from resgen_tts.apps.weights.tokenizers import load_tokenizer
    from resgen_tts.speech.audio.load import load_audio

    tokenizer = load_tokenizer(options.tokenizer, options.vocoder)
    loaded = load_audio(options.file, sample_rate=tokenizer.sample_rate)
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    warm_up(tokenizer)
    start = time.perf_counter()
    codes = encode_wave(tokenizer, loaded.samples)
    spent = time.perf_counter() - start
    space = tokenizer.code_space
    content = FileCodes(
        codes=codes,
        num_samples=len(loaded.samples),
        sample_rate=tokenizer.sample_rate,
        tokenizer=options.tokenizer,
        vocoder=options.vocoder,
        code_space=code_space_hash(space),
    )
    write_codes(options.output, content, space.codebook_size)
    print(
        f"{options.output}: {loaded.seconds:.2f} s in {len(codes)} frames of {space.depth} codes, "
        f"{tokenizer.frame_rate_hz:.2f} Hz, {bitrate_kbps(tokenizer):.3f} kbps, "
        f"real-time factor {spent / loaded.seconds:.4f}"
    )


def decode_main(arguments: list[str]) -> None:
    """Turn a file of codes back into a recording.

    Raises:
        ConfigError: OUTPUT_EXISTS, OUTPUT_FOLDER_MISSING, or more levels are asked for than there are.
        DataError: the codes are broken, or another tokenizer's.
    """
    parser = argparse.ArgumentParser(prog="resgen-tts decode", description=decode_main.__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, metavar="FILE", help="file of codes that encode FILE wrote")
    parser.add_argument("--output", type=Path, required=True, help="WAV file to write")
    parser.add_argument("--tokenizer", default="", help="default: the one that the file names")
    parser.add_argument("--vocoder", default="", help=_VOCODER_HELP + "; default: the one that the file names")
    parser.add_argument("--depth", type=int, help="levels to decode, the coarsest ones; default: all")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    options = parser.parse_args(arguments)
    _check_output(options.output, options.force)
    content = read_codes(options.file)
    levels = content.codes.shape[1]
    depth = levels if options.depth is None else options.depth
    if not 1 <= depth <= levels:
        raise ConfigError(f"--depth must lie in 1..{levels}, the levels of {options.file}, got {depth}")

    from resgen_tts.apps.weights.tokenizers import load_tokenizer
    from resgen_tts.speech.audio.save import save_wav

    if not options.tokenizer and ":" in content.tokenizer and not Path(content.tokenizer).exists():
        raise ConfigError(
            f"{options.file} names {content.tokenizer}, a model of somebody else's: a file does not decide what is "
            "loaded.",
            hint=f"Say so yourself: --tokenizer {content.tokenizer}",
        )
    tokenizer = load_tokenizer(options.tokenizer or content.tokenizer, options.vocoder or content.vocoder)
    check_codes(content, tokenizer, options.file)
    warm_up(tokenizer)
    start = time.perf_counter()
    samples = decode_wave(tokenizer, content.codes[:, :depth])
    spent = time.perf_counter() - start
    samples = samples[: content.num_samples]  # the last frame may reach behind the recording's end
    for warning in save_wav(options.output, samples, tokenizer.sample_rate):
        print(f"warning: {warning}", file=sys.stderr)
    seconds = len(samples) / tokenizer.sample_rate
    print(
        f"{options.output}: {seconds:.2f} s of {depth} levels, {bitrate_kbps(tokenizer, depth):.3f} kbps, "
        f"real-time factor {spent / seconds:.4f}"
    )


def _check_output(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise ConfigError(f"{path} exists.", code="OUTPUT_EXISTS", hint="Pass --force to overwrite it.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"the folder of {path} does not exist.", code="OUTPUT_FOLDER_MISSING")
