"""The converter of the public RQ-VAE: a made checkpoint of its layout against a plain restatement of its network."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from resgen_tts.apps.training.part import start_from
from resgen_tts.apps.weights.parts import read_part
from resgen_tts.common.errors import CheckpointError
from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.image_vae import ImageVAE, ImageVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig

GROUPS, WIDTHS, BLOCKS, Z, EMBED, CODES = 4, (8, 8, 16), 2, 12, 10, 32
SPEC = importlib.util.spec_from_file_location("convert_rqvae", Path(__file__).parents[2] / "tools" / "convert_rqvae.py")
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


def sizes(dim):
    quantizer = QuantizerConfig(depth=3, codebook_size=8, dim=dim, warmup_vectors=64, commitment="prefixes")
    return ImageVAEConfig(
        image_size=16, channels_in=3, widths=WIDTHS, blocks=(BLOCKS,) * 3, layout="vqgan", z_channels=Z,
        norm_groups=GROUPS, normalize_latents=False, quantizer=quantizer,
    )  # fmt: skip


@pytest.fixture(scope="module")
def published():
    """Random weights under the names of the public state_dict, attention and the four shared codebooks included."""
    rng, state = generator(0, "rqvae"), {}

    def convolution(name, width_in, width_out, kernel):
        state[f"{name}.weight"] = torch.randn(width_out, width_in, kernel, kernel, generator=rng) / (
            kernel * width_in**0.5
        )
        state[f"{name}.bias"] = torch.randn(width_out, generator=rng) * 0.1

    def norm(name, width):
        state[f"{name}.weight"] = 1 + 0.2 * torch.randn(width, generator=rng)
        state[f"{name}.bias"] = torch.randn(width, generator=rng) * 0.2

    def block(name, width_in, width_out):
        norm(f"{name}.norm1", width_in)
        convolution(f"{name}.conv1", width_in, width_out, 3)
        norm(f"{name}.norm2", width_out)
        convolution(f"{name}.conv2", width_out, width_out, 3)
        if width_in != width_out:
            convolution(f"{name}.nin_shortcut", width_in, width_out, 1)

    def attention(name, width):
        norm(f"{name}.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            convolution(f"{name}.{part}", width, width, 1)

    def middle(side):
        block(f"{side}.mid.block_1", WIDTHS[-1], WIDTHS[-1])
        attention(f"{side}.mid.attn_1", WIDTHS[-1])
        block(f"{side}.mid.block_2", WIDTHS[-1], WIDTHS[-1])

    convolution("encoder.conv_in", 3, WIDTHS[0], 3)
    width = WIDTHS[0]
    for level, next_width in enumerate(WIDTHS):
        for index in range(BLOCKS):
            block(f"encoder.down.{level}.block.{index}", width, next_width)
            width = next_width
            if level == 2:
                attention(f"encoder.down.{level}.attn.{index}", width)
        if level < 2:
            convolution(f"encoder.down.{level}.downsample.conv", width, width, 3)
    middle("encoder")
    norm("encoder.norm_out", width)
    convolution("encoder.conv_out", width, Z, 3)
    convolution("quant_conv", Z, EMBED, 1)
    convolution("post_quant_conv", EMBED, Z, 1)
    convolution("decoder.conv_in", Z, width, 3)
    middle("decoder")
    for level in (2, 1, 0):
        for index in range(BLOCKS + 1):
            block(f"decoder.up.{level}.block.{index}", width, WIDTHS[level])
            width = WIDTHS[level]
            if level == 2:
                attention(f"decoder.up.{level}.attn.{index}", width)
        if level:
            convolution(f"decoder.up.{level}.upsample.conv", width, width, 3)
    norm("decoder.norm_out", width)
    convolution("decoder.conv_out", width, 3, 3)
    book = torch.randn(CODES + 1, EMBED, generator=rng) * torch.arange(1.0, EMBED + 1)
    book[-1] = 1000  # the padding: no code
    for level in range(4):
        state[f"quantizer.codebooks.{level}.weight"] = book
        state[f"quantizer.codebooks.{level}.cluster_size_ema"] = torch.arange(CODES) + 1.0
        state[f"quantizer.codebooks.{level}.embed_ema"] = book[:-1]
    return state


class PublicNetwork:
    """The public network as its papers and code describe it, by name from the state_dict, without attention."""

    def __init__(self, state):
        self.state = state

    def encode(self, x):
        x = self.conv("encoder.conv_in", x)
        for level in range(3):
            for index in range(BLOCKS):
                x = self.block(f"encoder.down.{level}.block.{index}", x)
            if level < 2:
                x = self.conv(f"encoder.down.{level}.downsample.conv", F.pad(x, (0, 1, 0, 1)), stride=2, padding=0)
        x = self.block("encoder.mid.block_2", self.block("encoder.mid.block_1", x))
        x = self.conv("encoder.conv_out", self.swish("encoder.norm_out", x))
        return self.conv("quant_conv", x, padding=0)

    def decode(self, z):
        x = self.conv("decoder.conv_in", self.conv("post_quant_conv", z, padding=0))
        x = self.block("decoder.mid.block_2", self.block("decoder.mid.block_1", x))
        for level in (2, 1, 0):
            for index in range(BLOCKS + 1):
                x = self.block(f"decoder.up.{level}.block.{index}", x)
            if level:
                x = self.conv(f"decoder.up.{level}.upsample.conv", x.repeat_interleave(2, 2).repeat_interleave(2, 3))
        return self.conv("decoder.conv_out", self.swish("decoder.norm_out", x))

    def block(self, name, x):
        h = self.conv(f"{name}.conv1", self.swish(f"{name}.norm1", x))
        h = self.conv(f"{name}.conv2", self.swish(f"{name}.norm2", h))
        if f"{name}.nin_shortcut.weight" in self.state:
            x = self.conv(f"{name}.nin_shortcut", x, padding=0)
        return x + h

    def conv(self, name, x, stride=1, padding=1):
        return F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], stride, padding)

    def swish(self, name, x):
        x = F.group_norm(x, GROUPS, self.state[f"{name}.weight"], self.state[f"{name}.bias"], eps=1e-6)
        return x * torch.sigmoid(x)


def pictures():
    return torch.rand(2, 3, 16, 16, generator=generator(1)) * 2 - 1


def test_encoder_and_decoder_are_the_public_ones_seen_through_the_cut(published):
    dim = 6
    model, public = tool.converted(published, sizes(dim)).eval(), PublicNetwork(published)
    directions = tool.principal_directions(published, dim)
    with torch.no_grad():
        latents = model.encode_latent(pictures())
        theirs = torch.einsum("ce,behw->bchw", directions, public.encode(pictures()))
        torch.testing.assert_close(latents, theirs.flatten(2).mT, rtol=1e-4, atol=1e-4)
        wide = torch.einsum("ce,bchw->behw", directions, theirs)
        torch.testing.assert_close(model.decode_latent(latents), public.decode(wide), rtol=1e-4, atol=1e-4)


def test_a_latent_that_is_not_cut_loses_nothing(published):
    model, public = tool.converted(published, sizes(EMBED)).eval(), PublicNetwork(published)
    with torch.no_grad():
        ours, theirs = model.decode_latent(model.encode_latent(pictures())), public.decode(public.encode(pictures()))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert theirs.std() > 0.1  # no comparison of nothing with nothing


def test_the_cut_keeps_most_energy_of_the_codes_in_use(published):
    """Codes in a plane; one far off that was never used, and the padding: neither counts."""
    rng = generator(2)
    book = torch.zeros(9, 5)
    book[:7, 1:3] = torch.randn(7, 2, generator=rng)
    book[7, 4] = book[8, 0] = 100
    use = torch.tensor([1.0] * 7 + [0.0])
    state = {"quantizer.codebooks.0.weight": book, "quantizer.codebooks.0.cluster_size_ema": use}
    directions = tool.principal_directions(state, 2)
    torch.testing.assert_close(directions @ directions.T, torch.eye(2))
    torch.testing.assert_close(book[:7] @ directions.T @ directions, book[:7])
    all_of_them = tool.principal_directions(published, EMBED)
    torch.testing.assert_close(all_of_them @ all_of_them.T, torch.eye(EMBED), rtol=1e-5, atol=1e-5)
    with pytest.raises(CheckpointError, match="codes of 5 numbers; the latent needs 6"):
        tool.principal_directions(state, 6)
    with pytest.raises(CheckpointError, match="no codebook"):
        tool.principal_directions({}, 6)


def test_another_network_is_refused(published):
    with pytest.raises(CheckpointError, match=r"does not have: discriminator\.x"):
        tool.converted({**published, "discriminator.x": torch.zeros(1)}, sizes(6))
    missing = {name: value for name, value in published.items() if name != "decoder.up.1.block.0.norm1.bias"}
    with pytest.raises(CheckpointError, match=r"decoder\.up\.1\.block\.0 of the checkpoint does not fit"):
        tool.converted(missing, sizes(6))
    other = {**published, "encoder.conv_in.weight": torch.zeros(8, 1, 3, 3)}
    with pytest.raises(CheckpointError, match=r"encoder\.conv_in of the checkpoint does not fit"):
        tool.converted(other, sizes(6))


def test_the_folder_starts_a_training(published, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "IMAGE_VAES", {"tiny": sizes(6)})
    torch.save({"epoch": 9, "state_dict": published}, tmp_path / "model.pt")
    words = [str(tmp_path / "model.pt"), str(tmp_path / "part"), "--preset", "tiny"]
    assert tool.main(words) == 3 and "PICKLE_REFUSED" in capsys.readouterr().err
    assert tool.main([*words, "--allow-pickle"]) == 0
    tensors, config = read_part(tmp_path / "part", "image_vae")
    assert config["source"].endswith("model.pt") and not tensors["quantizer.started"]
    model = ImageVAE(sizes(6))
    start_from(tmp_path / "part", "image_vae", model)
    torch.testing.assert_close(model.encoder[0].weight.detach(), published["encoder.conv_in.weight"])
