"""Features and classes of the Inception network that FIDs are defined on, by torch-fidelity, with weights from a file.

network = InceptionFeatures(Path("weights-inception-2015-12-05-6726825d.pth"), allow_pickle=True)
"""

import hashlib
import importlib.metadata
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from resgen_tts.common.errors import CheckpointError, require
from resgen_tts.common.run_dir import sha256_file
from resgen_tts.common.torchvision_hook import install
from resgen_tts.common.weight_files import read_weights
from resgen_tts.evaluation.judges.hub_model import check_device
from resgen_tts.evaluation.measures.image_quality import PictureActivations

NETWORK = "inception-v3-compat"  # torch-fidelity's name of the port of TensorFlow's network of 2015-12-05
PUBLISHED = (
    "They are published on GitHub as weights-inception-2015-12-05-6726825d.pth (toshas/torch-fidelity, release v0.2.0) "
    "and as pt_inception-2015-12-05-6726825d.pth (mseitzer/pytorch-fid). Nothing is downloaded."
)
_PUBLISHED_SHA256 = "6726825d"  # what their SHA-256 begins with, as their names say
_LAYERS = ["2048", "logits_unbiased"]  # scores are taken without the bias, as published ones are
_SPATIAL_CHANNELS = 7  # of the first branch of mixed_6, 17 x 17 places: the features of sFID


class InceptionFeatures:
    """A `PictureFeatures`; pictures of any size, scaled to 299 x 299 as TensorFlow does, grey ones as three channels.

    Args:
        weights: state of the network, safetensors or a pickle.
        allow_pickle: whether a pickle may be read; even then nothing in it is run.
        device: where the network works, e.g. "cuda".
    Raises:
        ConfigError: the device is not there.
        CheckpointError: MODEL_MISSING, a pickle that was not allowed, or weights of another network.
        MissingExtraError: torch-fidelity is not installed (extra ``images``).
    Source: FID arXiv:1706.08500; sFID arXiv:2103.03841.
    """

    is_embedded = False

    def __init__(self, weights: Path, *, allow_pickle: bool = False, device: str = "cpu"):
        if not Path(weights).is_file():
            raise CheckpointError(
                f"{weights}: there are no weights of the Inception network.", code="MODEL_MISSING", hint=PUBLISHED
            )
        state = read_weights(weights, allow_pickle=allow_pickle)
        self.device = check_device(device)
        self._network = _network(state, weights).to(self.device)
        self._spatial: Tensor | None = None
        self._network.Mixed_6d.branch1x1.register_forward_hook(self._keep_spatial)
        self.weights_sha256 = sha256_file(weights)
        self.is_published = self.weights_sha256.startswith(_PUBLISHED_SHA256)
        self._digest = _digest(state)

    @property
    def name(self) -> str:
        """The hash is of the tensors: a pickle and its safetensors are one network."""
        return f"{NETWORK} of torch-fidelity {importlib.metadata.version('torch-fidelity')}, {self._digest[:12]}"

    @torch.inference_mode()
    def activations(self, images: UInt8[np.ndarray, "N C H W"]) -> PictureActivations:
        """Features [N, 2048], probabilities [N, 1008] and spatial features [N, 2023] of pictures, 1 or 3 channels."""
        given = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        features, logits = self._network(given.expand(-1, 3, -1, -1).contiguous())
        # Places outside, channels inside, as the statistics of published references are.
        spatial = self._spatial[:, :_SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        found = (features, logits.double().softmax(1), spatial)
        return PictureActivations(*(one.cpu().numpy() for one in found))

    def features(self, images: UInt8[np.ndarray, "N C H W"]) -> Float[np.ndarray, "N F"]:
        """What Frechet distance, precision and recall are of."""
        return self.activations(images).features

    def probabilities(self, images: UInt8[np.ndarray, "N C H W"]) -> Float[np.ndarray, "N K"]:
        """What the inception score is of."""
        return self.activations(images).probabilities

    def _keep_spatial(self, module, inputs, output) -> None:
        self._spatial = output


def _network(state: Mapping[str, Tensor], source: Path) -> torch.nn.Module:
    """The network in eval mode with these weights."""
    install()
    require("torchvision", extra="images")
    library = require("torch_fidelity", extra="images")
    # The library unpickles whatever is in the file that it is given: it gets one made of plain tensors here.
    plain = io.BytesIO()
    torch.save(dict(state), plain)
    plain.seek(0)
    try:
        return library.FeatureExtractorInceptionV3(NETWORK, _LAYERS, feature_extractor_weights_path=plain).eval()
    except RuntimeError as error:  # of torch: which names are missing, unknown, or of another size
        told = str(error)
        raise CheckpointError(
            f"{source} does not hold the weights of {NETWORK}: {told[:300]}{'...' if len(told) > 300 else ''}",
            hint=PUBLISHED,
        ) from error


def _digest(state: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of names, sizes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.numpy().tobytes())
    return digest.hexdigest()
