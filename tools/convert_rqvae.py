"""The public RQ-VAE checkpoint as the start of ResGen's image VAE: its network without attention, a smaller latent.

    python tools/convert_rqvae.py downloads/imagenet/stage1/model.pt exp/rqvae --allow-pickle
    resgen-tts train image_vae --preset imagenet_rvq8 --init exp/rqvae --data ... --output ...

It reads the ``state_dict`` that github.com/kakaobrain/rq-vae-transformer publishes (8x8x4 codes of 256x256 pictures);
its licence there is for non-commercial use. What is carried over and what is new:

* every convolution and norm of encoder and decoder: carried over as it is;
* attention layers (``mid.attn_1``, ``down.N.attn``, ``up.N.attn``): left out, as ResGen does; the network must be
  trained on before it is of use;
* the latent, 256 -> 64 numbers: new. The paper does not say how it was cut; here it is the projection onto the
  principal directions of the public code vectors, each counted as often as it was in use, folded into the 1x1
  convolutions on both sides. It is the cut that changes the code vectors least;
* codebooks: new. The public ones (4 x 16384 of 256 numbers) fit neither 1024 codes nor the cut; the quantizer lays its
  own through the first latents of the training.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import CheckpointError, ResGenError
from resgen_tts.common.weight_files import read_weights
from resgen_tts.engine.checkpoint import save_model
from resgen_tts.tokenizers.image_networks import ResidualBlock
from resgen_tts.tokenizers.image_vae import IMAGE_VAES, ImageVAE, ImageVAEConfig

_BLOCK = {
    "norm1": "layers.0",
    "conv1": "layers.2",
    "norm2": "layers.3",
    "conv2": "layers.5",
    "nin_shortcut": "shortcut",
}
_LEFT_OUT = re.compile(r"(encoder|decoder)\.(mid\.attn_1|(down|up)\.\d+\.attn\.\d+)\.|quantizer\.codebooks\.\d+\.")


def converted(published: dict[str, Tensor], config: ImageVAEConfig) -> ImageVAE:
    """The image VAE with the public network's weights; its codebooks are not laid yet.

    Args:
        published: the public ``state_dict``.
        config: of the layout "vqgan" and of the network's sizes; its latent must not be larger than the public one.
    Raises:
        CheckpointError: names are missing or unknown, or sizes differ.
    """
    model, left = ImageVAE(config), dict(published)
    directions = principal_directions(published, config.quantizer.dim)
    for names, layers in ((_encoder_names(config), model.encoder), (_decoder_names(config), model.decoder)):
        filled = [layer for layer in layers if any(True for _ in layer.parameters())]
        for name, layer in zip(names, filled, strict=True):
            weights = _taken(left, name, layer)
            if name == "quant_conv":
                weights = {leaf: torch.tensordot(directions, value, 1) for leaf, value in weights.items()}
            elif name == "post_quant_conv":
                weights["weight"] = torch.einsum("cz,ozhw->ochw", directions, weights["weight"])
            try:
                layer.load_state_dict(weights)
            except RuntimeError as error:
                raise CheckpointError(f"{name} of the checkpoint does not fit the configuration: {error}") from error
    unknown = [name for name in left if not _LEFT_OUT.match(name)]
    if unknown:
        raise CheckpointError(f"the checkpoint holds what this network does not have: {', '.join(unknown[:8])}.")
    return model


def principal_directions(published: dict[str, Tensor], dim: int) -> Tensor:
    """Orthonormal rows [dim, C]: where the public code vectors, weighted by their use, have most energy.

    A codebook has one row more than codes, the padding, which is left out.

    Raises:
        CheckpointError: there is no codebook, or its vectors are shorter than ``dim``.
    """
    energy = None
    for name, book in published.items():
        if re.fullmatch(r"quantizer\.codebooks\.\d+\.weight", name):
            vectors = book[:-1].double()
            use = published[name.replace(".weight", ".cluster_size_ema")].double()
            part = (vectors * (use / use.sum())[:, None]).T @ vectors
            energy = part if energy is None else energy + part
    if energy is None or len(energy) < dim:
        found = "no codebook" if energy is None else f"codes of {len(energy)} numbers"
        raise CheckpointError(f"the checkpoint has {found}; the latent needs {dim} numbers.")
    return torch.linalg.eigh(energy).eigenvectors.T.flip(0)[:dim].float()  # eigenvalues rise, so the last ones first


def _taken(left: dict[str, Tensor], name: str, layer: nn.Module) -> dict[str, Tensor]:
    """Take a layer's tensors out of what is left, in our names."""
    parts = {f"{name}.{theirs}": f"{ours}." for theirs, ours in _BLOCK.items()}
    parts = parts if isinstance(layer, ResidualBlock) else {name: ""}
    return {
        f"{ours}{leaf}": left.pop(f"{theirs}.{leaf}")
        for theirs, ours in parts.items()
        for leaf in ("weight", "bias")
        if f"{theirs}.{leaf}" in left
    }


def _encoder_names(config: ImageVAEConfig) -> Iterator[str]:
    """The public names of the encoder's layers in the order of ours."""
    yield "encoder.conv_in"
    for level, count in enumerate(config.blocks):
        if level:
            yield f"encoder.down.{level - 1}.downsample.conv"
        yield from (f"encoder.down.{level}.block.{index}" for index in range(count))
    yield from ("encoder.mid.block_1", "encoder.mid.block_2", "encoder.norm_out", "encoder.conv_out", "quant_conv")


def _decoder_names(config: ImageVAEConfig) -> Iterator[str]:
    """The public names of the decoder's layers in the order of ours."""
    yield from ("post_quant_conv", "decoder.conv_in", "decoder.mid.block_1", "decoder.mid.block_2")
    for level in reversed(range(len(config.blocks))):
        yield from (f"decoder.up.{level}.block.{index}" for index in range(config.blocks[level] + 1))
        if level:
            yield f"decoder.up.{level}.upsample.conv"
    yield from ("decoder.norm_out", "decoder.conv_out")


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the public checkpoint (.pt), or its state_dict as .safetensors")
    parser.add_argument("output", type=Path, help="folder to write; replaced as a whole")
    presets = [name for name, config in IMAGE_VAES.items() if config.layout == "vqgan"]
    parser.add_argument("--preset", default="imagenet_rvq8", choices=presets, help="the image VAE that it starts")
    parser.add_argument(
        "--allow_pickle", "--allow-pickle", action="store_true", help="read a pickle, as plain tensors only"
    )
    options = parser.parse_args(arguments)
    config = IMAGE_VAES[options.preset]
    try:
        published = read_weights(options.source, allow_pickle=options.allow_pickle, inside="state_dict")
        weights = converted(published, config).state_dict()
        facts = {"part": "image_vae", "source": options.source.name, "model": to_plain(config)}
        save_model(options.output, weights, facts)
    except ResGenError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
