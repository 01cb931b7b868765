"""Voice prints of the x-vector models of transformers, e.g. microsoft/wavlm-base-plus-sv.

encoder = XVectorEncoder("microsoft/wavlm-base-plus-sv")
encoder.embed(Path("a.wav"))

Handier than the verifier of published tables (`unispeech_verifier`), and never to be compared with it.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from resgen_tts.common.errors import CheckpointError
from resgen_tts.evaluation.judges.hub_model import load_hub_model
from resgen_tts.evaluation.waves import SCORING_RATE, is_silent, read_wave

MODEL_TYPES = ("wavlm", "wav2vec2", "unispeech-sat")
PUBLISHED = "microsoft/wavlm-base-plus-sv or microsoft/wavlm-base-sv on the Hugging Face hub"


class XVectorEncoder:
    """A `SpeakerEncoder`: statistics of a speech encoder's frames, read out by a few layers.

    Waves are worked on one by one: the base kinds normalise their first convolution over all of the time that they
    are given, padding too, so that in a batch a wave's print would depend on the longest one.

    Args:
        source: folder of a model with its preprocessor_config.json, or its name on the hub, which fetches it
            (``NAME@REVISION`` pins a revision).
        device: where the network runs.
    Raises:
        MissingExtraError: transformers is not installed (extra ``hf``).
        ConfigError: the device is not there.
        CheckpointError: MODEL_MISSING, or CHECKPOINT_INVALID: another kind of model, weights or the preprocessor's
            settings are missing, or it listens at another rate than 16 kHz.
    Source: X-Vectors (Snyder et al., ICASSP 2018) over WavLM (arXiv:2110.13900).
    """

    is_embedded = False
    libraries = ("transformers", "torch")

    def __init__(self, source: Path | str, *, device: str = "cpu"):
        self._hub = load_hub_model(
            source,
            model_class="AutoModelForAudioXVector",
            model_types=MODEL_TYPES,
            device=device,
            what="an x-vector model",
            published=PUBLISHED,
        )
        # It says whether waves are normalised, which no print survives being wrong about: never guessed.
        self._extractor = self._hub.part("Wav2Vec2FeatureExtractor")
        if self._extractor.sampling_rate != SCORING_RATE:
            raise CheckpointError(
                f"{source} listens at {self._extractor.sampling_rate} Hz, and scoring is done at {SCORING_RATE} Hz."
            )

    @property
    def name(self) -> str:
        return f"{self._hub.kind} x-vector {self._hub.known_as}, {self._hub.digest}"

    @property
    def shortest_samples(self) -> int:
        """The fewest samples at 16 kHz that a print can be made of: with fewer there is no deviation over time."""
        config = self._hub.model.config
        frames = 2 + sum(
            (kernel - 1) * dilation for kernel, dilation in zip(config.tdnn_kernel, config.tdnn_dilation, strict=True)
        )
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            frames = (frames - 1) * stride + kernel
        return frames

    def embed(self, path: Path, start_seconds: float = 0.0) -> Float[np.ndarray, "E"]:
        """Unit vector of the voice in a wave from a time on; the zero vector for silence and for a wave that is
        shorter than the network's view (0.33 s for the published models).

        Raises:
            AudioError: the wave cannot be read.
        """
        import torch

        model, wave = self._hub.model, read_wave(path, start_seconds=start_seconds)
        if is_silent(wave) or len(wave) < self.shortest_samples:
            return np.zeros(model.config.xvector_output_dim, np.float32)
        values = self._extractor(wave, sampling_rate=SCORING_RATE, return_tensors="pt").input_values
        with torch.inference_mode():
            found = model(values.to(model.device)).embeddings[0]
            return torch.nn.functional.normalize(found, dim=0).cpu().numpy()
