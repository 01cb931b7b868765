"""Does a transcript fit its recording? Where it does not, words of the reference are heard in the output."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.common.errors import TextError
from resgen_tts.speech.alignment import Aligner, centre_mel, symbol_of_frame
from resgen_tts.speech.text.units import EncodedText

# Measured with an aligner trained as in egs/custom, pauses optional, on 60 utterances of LibriSpeech's dev and test
# sets, 3 to 12 s long: 5 % are noted with their own transcript, 93 % with another one's, 78 % with the first 60 % of
# their words, 33 % where the recording is cut after 60 % and the transcript is not. On 74 of the training sets: 0, 78,
# 65 and 18 %.
LEAST_ORDER_GAIN = 0.015
SECONDS_PER_SYMBOL = (0.03, 0.22)
LAST_WORD_STRETCH = (0.2, 5.0)  # times the expected duration, over the median of all words
LEAST_WORDS = 5  # different ones; of fewer the order says little

# Beyond these bounds a transcript certainly is of something else. With that aligner, on 60 utterances of LibriSpeech's
# training sets with their own transcript: rates of 0.85 to 1.38, 5 to 34 % of the sounds of one frame (28 to 67 % where
# an aligner was trained for 40 steps). Refused are 93 % of the transcripts of five utterances, 97 % of a fifth of the
# own one, 7 % of its half, 33 % of another utterance's.
CERTAIN_RATE = (0.3, 4.0)
CERTAIN_SQUEEZED = 0.7  # of the sounds last one frame
LEAST_SOUNDS = 10  # of fewer that share says little


@dataclass(frozen=True)
class AlignedText:
    """A text, its features, and the mel frames of each symbol."""

    encoded: EncodedText
    features: Float[Tensor, "1 N F"]
    durations: Int[Tensor, " N"]


def rate_of(aligner: Aligner, text: AlignedText) -> float:
    """How much longer the sounds last than expected; pauses and silences are of any length and do not count."""
    is_sound = text.encoded.words >= 0
    if not is_sound.any():
        return 1.0
    mean, _ = aligner.durations(text.features)
    return float(text.durations[is_sound].sum() / mean[0].cpu()[is_sound].expm1().clamp_min(1).sum())


def refuse_misfit(aligner: Aligner, whole: AlignedText) -> None:
    """Refuse a transcript that certainly is of something else.

    Raises:
        TextError: VOICE_TEXT_MISMATCH.
    """
    if reasons := _certain_reasons(aligner, whole):
        raise TextError(
            f"the reference's text is not what is said in it: {'; '.join(reasons)}.",
            code="VOICE_TEXT_MISMATCH",
            hint="Pass what is said in the whole recording (--ref-text), or take both as they are (--no-hygiene).",
        )


def _certain_reasons(aligner: Aligner, whole: AlignedText) -> list[str]:
    reasons = []
    rate = rate_of(aligner, whole)
    low, high = CERTAIN_RATE
    if not low <= rate <= high:
        reasons.append(f"its sounds last {rate:.2f} times as long as expected")
    sounds = whole.durations[whole.encoded.words >= 0]
    squeezed = int((sounds <= 1).sum())
    if len(sounds) >= LEAST_SOUNDS and squeezed > CERTAIN_SQUEEZED * len(sounds):
        reasons.append(f"{squeezed} of its {len(sounds)} sounds last one frame")
    return reasons


def mismatch_notes(
    aligner: Aligner, whole: AlignedText, mel: Float[Tensor, "1 T M"], seconds: float, kept: AlignedText
) -> list[str]:
    """One VOICE_TEXT_MISMATCH with all that speaks against a transcript; nothing where it seems to fit.

    Args:
        whole: the whole transcript.
        mel: of the whole recording.
        seconds: its length.
        kept: what is left of the transcript after a cut.
    """
    reasons = _certain_reasons(aligner, whole)
    num_sounds = int((whole.encoded.words >= 0).sum())
    low, high = SECONDS_PER_SYMBOL
    if num_sounds and not low <= seconds / num_sounds <= high:
        reasons.append(f"{seconds:.1f} s for {num_sounds} sounds")
    stretch = last_word_stretch(aligner, kept)
    low, high = LAST_WORD_STRETCH
    if not low <= stretch <= high:
        reasons.append(f"its last word lasts {stretch:.1f} times as long as the others would let expect")
    if _different_words(whole.encoded) >= LEAST_WORDS:
        gain = order_gain(aligner, whole.encoded, whole.features, mel)
        if gain < LEAST_ORDER_GAIN:
            reasons.append("its words fit the sound no better in their order than in another")
    if not reasons:
        return []
    advice = "Check --ref-text, or leave it out to have it transcribed."
    return [f"VOICE_TEXT_MISMATCH: the transcript may not be what is said: {'; '.join(reasons)}. {advice}"]


def last_word_stretch(aligner: Aligner, text: AlignedText) -> float:
    """Aligned over expected duration of the last word, over the median of this ratio; 1 for fewer than three words."""
    mean, _ = aligner.durations(text.features)
    expected = mean[0].cpu().expm1().clamp_min(1)
    words = text.encoded.words
    groups = [words == word for word in words[words >= 0].unique()]
    if len(groups) < 3:
        return 1.0
    ratios = torch.stack([text.durations[group].sum() / expected[group].sum() for group in groups])
    return float(ratios[-1] / ratios.median())


def order_gain(
    aligner: Aligner, encoded: EncodedText, features: Float[Tensor, "1 N F"], mel: Float[Tensor, "1 T M"]
) -> float:
    """How much more of the mel the text explains in its order than the same words do in others.

    ``1 - sum_t |y_t - mu_A(t)|^2 / sum_t |y_t|^2`` under the best alignment A of each order; the mean over four other
    orders is taken off. Whose voice it is, and how well the aligner knows it, weighs on all orders alike.
    """
    count, frames = (torch.tensor([size], device=mel.device) for size in (len(encoded), mel.shape[1]))
    target = centre_mel(mel, frames)
    explained = []
    for order in _orders(encoded.words):  # one by one: two minutes take 70 MB of scores each
        ordered = features[:, order.to(mel.device)]
        numbers = encoded.numbers[order][None].to(mel.device)
        durations = aligner.align(ordered, numbers, count, mel, frames)
        expected = aligner.to_mel(ordered)[0, symbol_of_frame(durations, mel.shape[1])[0]]
        explained.append(1 - (target[0] - expected).square().sum() / target.square().sum().clamp_min(1e-9))
    return float(explained[0] - torch.stack(explained[1:]).mean())


def _orders(words: Int[Tensor, " N"]) -> list[Int[Tensor, " N"]]:
    """Places of the symbols: as they are, with the words backwards, and turned by a quarter, a half, three quarters.

    What follows a word goes with it; the silences stay at the ends.
    """
    groups: list[list[int]] = [[]]
    last = -1
    for place, word in enumerate(words.tolist()[1:-1], start=1):
        if word not in (-1, last):
            groups.append([])
            last = word
        groups[-1].append(place)
    groups = [group for group in groups if group]
    size = len(groups)
    turns = [groups[turn * size // 4 :] + groups[: turn * size // 4] for turn in (1, 2, 3)]
    return [
        torch.tensor([0, *(place for group in order for place in group), len(words) - 1])
        for order in (groups, groups[::-1], *turns)
    ]


def _different_words(encoded: EncodedText) -> int:
    spelled: dict[int, tuple[int, ...]] = {}
    for word, number in zip(encoded.words.tolist(), encoded.numbers.tolist(), strict=True):
        if word >= 0:
            spelled[word] = (*spelled.get(word, ()), number)
    return len(set(spelled.values()))
