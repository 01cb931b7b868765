"""Trained parts and whole systems from folders: safetensors and a resolved configuration, nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from resgen_tts.apps.weights.bundled import GRIFFIN_LIM, MODEL_FACTS, PARTS, no_model, read_model_facts, trained_parts
from resgen_tts.apps.weights.half_precision import LEFT_OUT
from resgen_tts.apps.weights.parts import check_codebooks, earlier_version, filled, read_part, scheme_in
from resgen_tts.common.config import from_plain
from resgen_tts.core.space_kinds import code_space_from
from resgen_tts.models.catalog import config_of
from resgen_tts.speech.alignment import Aligner, AlignerConfig
from resgen_tts.speech.cross_generator import CrossGenerator, CrossGeneratorConfig
from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig
from resgen_tts.speech.synthesizer import Synthesizer
from resgen_tts.speech.text.byt5 import ByT5
from resgen_tts.speech.text.lexicon import Lexicon
from resgen_tts.speech.text.symbols import Inventory
from resgen_tts.speech.text.units import TextUnits
from resgen_tts.speech.total_length import TotalLengthConfig
from resgen_tts.tokenizers.bigvgan import BigVGAN
from resgen_tts.tokenizers.griffin_lim import GriffinLim
from resgen_tts.tokenizers.log_mel import MelConfig
from resgen_tts.tokenizers.mel_tokenizer import MelTokenizer
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.vocoder import Vocoder
from resgen_tts.tokenizers.vocoder_kinds import AnyVocoder, vocoder_of

if TYPE_CHECKING:
    from resgen_tts.tokenizers.wave_codec import WaveCodec


def load_mel_vae(folder: Path) -> MelVAE:
    """A trained Mel-VAE."""
    tensors, config = read_part(folder, "mel_vae")
    model = filled(MelVAE(from_plain(MelVAEConfig, config["model"])), tensors, folder, LEFT_OUT["mel_vae"])
    check_codebooks(model.quantizer.started, "Mel-VAE", folder)
    return model


def load_vocoder(folder: Path) -> Vocoder | BigVGAN:
    """A vocoder that was trained here, or converted."""
    tensors, config = read_part(folder, "vocoder")
    return filled(vocoder_of(config), tensors, folder)


def load_vocoder_or(name: Path | str, mel: MelConfig) -> AnyVocoder:
    """The vocoder of a folder, or Griffin-Lim by its name on the given mel."""
    return GriffinLim(mel) if str(name) == GRIFFIN_LIM else load_vocoder(Path(name))


def load_wave_codec(folder: Path) -> "WaveCodec":
    """A trained waveform codec."""
    from resgen_tts.tokenizers.wave_codec import WaveCodec, WaveCodecConfig

    tensors, config = read_part(folder, "codec")
    model = filled(WaveCodec(from_plain(WaveCodecConfig, config["model"])), tensors, folder)
    check_codebooks(model.quantizer.started, "codec", folder)
    return model


def load_aligner(folder: Path) -> tuple[Aligner, Inventory]:
    """A trained aligner and the symbols that it knows."""
    tensors, config = read_part(folder, "aligner")
    return filled(Aligner(_aligner_config(config["model"], folder)), tensors, folder), inventory_of(config)


def load_generator(folder: Path) -> tuple[SpeechGenerator | CrossGenerator, Inventory]:
    """A trained generator, over aligned text or over one that it attends to, and the symbols that it knows."""
    tensors, config = read_part(folder, "generator")
    scheme, plain = scheme_in(config, folder), config["model"]
    space = code_space_from(tensors, "generator.")
    sizes = {
        "aligner": _aligner_config(plain["aligner"], folder),
        "generator": config_of(scheme, plain["generator"]),
        "frames_per_code": plain["frames_per_code"],
    }
    if config.get("text", "aligned") == "cross":
        length = from_plain(TotalLengthConfig, plain["length"])
        model: CrossGenerator | SpeechGenerator = CrossGenerator(CrossGeneratorConfig(**sizes, length=length), space)
    else:
        model = SpeechGenerator(SpeechGeneratorConfig(**sizes), space)
    return filled(model, tensors, folder), inventory_of(config)


def load_system(mel_vae: Path, vocoder: Path, generator: Path, lexicon: Path | None = None) -> Synthesizer:
    """Tokenizer, vocoder and generator as one synthesizer.

    Args:
        vocoder: folder, or the name ``griffin_lim``.
        lexicon: file of words and how they are said.
    Raises:
        DataError: LEXICON_INVALID, FILE_MISSING.
        CheckpointError: a part is broken, or MODEL_MISSING where the ByT5 of the text units is not there.
    """
    model, inventory = load_generator(generator)
    units = TextUnits(
        inventory,
        lexicon=None if lexicon is None else Lexicon.read(lexicon),
        byt5=ByT5(inventory.byt5) if inventory.byt5 else None,
    )
    tokenizer = load_mel_vae(mel_vae)
    wave_maker = load_vocoder_or(vocoder, tokenizer.config.mel)
    return Synthesizer(MelTokenizer(tokenizer, wave_maker), model, units)


def load_exported(folder: Path, lexicon: Path | None = None) -> Synthesizer:
    """A system that the stage ``export`` wrote; ``lexicon`` is a file of words and how they are said.

    Raises:
        CheckpointError: MODEL_MISSING where the folder or one of its parts is not there.
    """
    return load_system(**exported_parts(folder), lexicon=lexicon)


def exported_parts(folder: Path) -> dict[str, Path]:
    """Folders of the parts of an exported model, as `load_system` takes them.

    Raises:
        CheckpointError: MODEL_MISSING where the folder or one of its parts is not there.
    """
    folder = Path(folder)
    trained = trained_parts(read_model_facts(folder)) if (folder / MODEL_FACTS).is_file() else PARTS
    if missing := [part for part in trained if not (folder / part).is_dir()]:
        raise no_model(folder, f"{', '.join(missing)} missing")
    return {part: folder / part if part in trained else Path(GRIFFIN_LIM) for part in PARTS}


def inventory_of(config: dict[str, Any]) -> Inventory:
    """The text symbols in a part's configuration."""
    return Inventory.from_plain(config["inventory"])


def _aligner_config(plain: dict[str, Any], folder: Path) -> AlignerConfig:
    if "optional_symbols" not in plain:  # until then an aligner knew neither pauses of no length nor spreads
        raise earlier_version("aligner", folder)
    return from_plain(AlignerConfig, plain)
