"""The image parts from the command line: a tokenizer, its codes, a generator of them, and loading what was saved."""

import json

import pytest
import torch

from resgen_tts.apps.cli import main
from resgen_tts.apps.weights.pretrained_image import load_image_generator, load_image_vae
from resgen_tts.common.randomness import generator
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.image.codes import code_space_hash, read_code_space, read_codes, read_info
from resgen_tts.image.dataset import load_pictures, to_signed

QUICK = ["--train.tensorboard=false", "--train.device=cpu", "--train.threads=1"]
SMALL = ["--model.width=16", "--model.layers=1", "--model.heads=2", "--model.components=4"]


@pytest.fixture(scope="module")
def exp(tmp_path_factory):
    """A tokenizer of scikit-learn's digits after a few steps, their codes, and a generator after two."""
    folder = tmp_path_factory.mktemp("exp")
    vae, codes = str(folder / "vae"), str(folder / "codes")
    small = ["--model.widths=[8,16]", "--model.quantizer.depth=3", "--model.quantizer.codebook_size=16"]
    start = ["--model.quantizer.warmup_vectors=1024", "--batches.batch_size=32", "--train.steps=6"]
    data = ["--data", "digits"]
    assert main(["train", "image_vae", "--preset", "digits", *data, "--output", vae, *small, *start, *QUICK]) == 0
    assert main(["encode-images", *data, "--image-vae", vae, "--output", codes]) == 0
    output = str(folder / "generator")
    steps = ["--batches.batch_size=8", "--batches.validation_batches=1", "--train.steps=2"]
    assert main(["train", "image_generator", "--codes", codes, "--output", output, *SMALL, *steps, *QUICK]) == 0
    return folder


def test_codes_are_those_of_the_tokenizer(exp):
    model, codes = load_image_vae(exp / "vae"), read_codes(exp / "codes", "test")
    pictures = load_pictures("digits", "test", 8)
    assert torch.equal(model.encode(to_signed(pictures.images[:20])), codes.codes[:20])
    assert torch.equal(codes.labels, pictures.labels)
    info = read_info(exp / "codes")
    assert info["grid"] == [4, 4] and info["depth"] == 3 and info["num_classes"] == 10
    assert code_space_hash(read_code_space(exp / "codes")) == code_space_hash(model.code_space)


def test_the_generator_knows_grid_classes_and_scheme_by_itself(exp):
    config = json.loads((exp / "generator" / "final" / "config.json").read_text())
    assert config["scheme"] == "resgen" and config["part"] == "image_generator"
    assert config["model"]["num_classes"] == 10 and config["model"]["grid_width"] == 4
    assert config["codes"]["code_space"] == code_space_hash(load_image_vae(exp / "vae").code_space)


def test_a_loaded_generator_makes_pictures(exp):
    model, vae = load_image_generator(exp / "generator"), load_image_vae(exp / "vae")
    assert model.grid == vae.grid and model.conditional
    is_target = torch.ones(2, 16, dtype=torch.bool)
    blank = torch.zeros(2, 16, 3, dtype=torch.long)
    made = model.codes_model.generate(
        blank, is_target, ~is_target, torch.tensor([3, 4]), SamplerConfig(steps=2), generator(0)
    )
    assert vae.decode(made).shape == (2, 1, 8, 8)


def test_what_is_missing_or_swapped_is_said(exp, capsys):
    output = ["--output", str(exp / "none")]
    assert main(["train", "image_generator", "--codes", str(exp / "vae"), *output]) == 2
    assert "info.json does not exist" in capsys.readouterr().err
    assert main(["encode-images", "--data", "digits", "--image-vae", str(exp / "generator"), *output]) == 3
    assert "holds a image_generator, not a image_vae" in capsys.readouterr().err
    assert main(["train", "image_vae", "--data", str(exp), *output]) == 2
    assert "train-images-idx3-ubyte.gz does not exist" in capsys.readouterr().err
