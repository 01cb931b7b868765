"""Small generators over aligned and unaligned text, and batches of utterances whose codes follow from their symbols."""

import torch

from resgen_tts.common.lengths import pad_stack
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.models.direct_tokens import DirectTokensConfig
from resgen_tts.speech.alignment import AlignerConfig
from resgen_tts.speech.corpus import CodeBatch
from resgen_tts.speech.cross_generator import CrossGenerator, CrossGeneratorConfig
from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig
from resgen_tts.speech.text.encoder import TextEncoderConfig
from resgen_tts.speech.total_length import TotalLengthConfig

SYMBOLS, MELS, PER_CODE, DEPTH, SIZE = 7, 5, 2, 2, 9
TRUNK = {"width": 32, "layers": 2, "heads": 2, "condition_dropout": 0.0}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_space() -> CodeSpace:
    return CodeSpace(torch.randn(DEPTH, SIZE, 4, generator=rng(7)), torch.tensor([0.4, 0.1]))


def toy_aligner(feature_dim: int = 0) -> AlignerConfig:
    encoder = TextEncoderConfig(width=16, layers=1, heads=2, dropout=0.0, feature_dim=feature_dim)
    return AlignerConfig(encoder=encoder, num_symbols=SYMBOLS, num_mels=MELS)


def toy_cross(feature_dim: int = 0, **changes) -> CrossGenerator:
    config = CrossGeneratorConfig(
        aligner=toy_aligner(feature_dim), generator=DirectTokensConfig(**{**TRUNK, **changes}, cross_dim=16),
        length=TotalLengthConfig(width=16, layers=1, heads=2, dropout=0.0), frames_per_code=PER_CODE,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CrossGenerator(config, toy_space())


def toy_aligned(feature_dim: int = 0) -> SpeechGenerator:
    config = SpeechGeneratorConfig(
        aligner=toy_aligner(feature_dim), generator=DirectTokensConfig(**TRUNK, condition_dim=6),
        frames_per_code=PER_CODE,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SpeechGenerator(config, toy_space())


def toy_batch(items: int = 4, feature_dim: int = 0, seed: int = 0) -> CodeBatch:
    """Silence, four to six different symbols, silence; each lasts one code frame, whose codes are its number.

    Items 0, 2, .. have no prompt; of the others the first three symbols are one.
    """
    symbols = []
    for item in range(items):
        drawn = torch.randperm(SYMBOLS - 1, generator=rng(100 * seed + item))[: 4 + item % 3] + 1
        symbols.append(torch.nn.functional.pad(drawn, (1, 1)))
    codes = [torch.stack([row, (row + 1) % SIZE], dim=1) for row in symbols]
    lengths = torch.tensor([len(row) for row in symbols])
    mel = [torch.randn(len(row) * PER_CODE, MELS, generator=rng(seed)) for row in symbols]
    features = [torch.randn(len(row), feature_dim, generator=rng(seed)) for row in symbols]
    return CodeBatch(
        ids=tuple(map(str, range(items))),
        seconds=1.0,
        codes=pad_stack(codes),
        num_codes=lengths,
        num_prompt=torch.arange(items) % 2 * 3,
        symbols=pad_stack(symbols),
        num_symbols=lengths,
        durations=pad_stack([torch.full((len(row),), PER_CODE) for row in symbols]),
        mel=pad_stack(mel),
        features=pad_stack(features) if feature_dim else None,
    )
