"""``bench schemes``: all schemes at one size, called as often as theory says; trained ones beside real pictures."""

import json

import pytest
import torch

from resgen_tts.apps.bench.speed import SpeedOptions, fitted_config, peak_memory
from resgen_tts.apps.cli import main
from resgen_tts.common.config import to_plain
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.core.schedule import reveal_plan, schedule_by_name
from resgen_tts.engine.checkpoint import save_model
from resgen_tts.evaluation.reports.scheme_table import quality_table
from resgen_tts.image.codes import code_space_hash
from resgen_tts.image.generator import ImageGenerator
from resgen_tts.models.catalog import SCHEMES, build_generator
from resgen_tts.models.maskgit_rvq import MaskgitRvqConfig
from resgen_tts.tokenizers.image_vae import ImageVAE, ImageVAEConfig
from resgen_tts.tokenizers.quantizer import QuantizerConfig

POSITIONS, DEPTH, STEPS, PARAMETERS = 5, 2, 3, 100_000
SMALL = {"dim": 8, "codebook_size": 16, "components": 8, "rank": 2, "layers": 3, "parameters": PARAMETERS}


def arguments(output, **more):
    options = {"output": output, "positions": POSITIONS, "depth": DEPTH, "steps": STEPS, "rounds": 1, **SMALL, **more}
    return ["bench", "schemes", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def reveals(slots, steps):
    """Steps of a plan that reveal something."""
    plan = reveal_plan(schedule_by_name("circle"), torch.tensor([slots]), steps)[0].tolist()
    return sum(left < before for before, left in zip([slots, *plan], plan, strict=False))


def test_schemes_are_of_one_size_and_are_called_as_theory_says(tmp_path, capsys):
    line = [*arguments(tmp_path, depths="2,4", guidance=2.0, inner_steps=3), "--no-memory"]
    assert main(line) == 0
    report = json.loads((tmp_path / "schemes.json").read_text())
    speed = report["speed"]
    assert list(speed) == list(SCHEMES)
    assert all(abs(figures["parameters"] / PARAMETERS - 1) <= 0.03 for figures in speed.values())
    assert speed["resgen"]["calls"] == speed["direct_tokens"]["calls"] == {"trunk": reveals(POSITIONS * DEPTH, STEPS)}
    shares = [2, 1]  # of three steps, one level after another
    assert speed["maskgit_rvq"]["calls"] == {"trunk": sum(reveals(POSITIONS, share) for share in shares)}
    assert speed["ar_resgen"]["calls"] == {"trunk": POSITIONS, "depth": POSITIONS * reveals(DEPTH, 3)}
    assert speed["rq_transformer"]["calls"] == {"trunk": POSITIONS, "depth": POSITIONS * DEPTH}
    assert all(len(figures["seconds"]["all"]) == 1 for figures in speed.values())
    deepest = {name: by_depth["4"] for name, by_depth in report["depths"].items()}
    assert deepest["maskgit_rvq"]["steps"] == 4  # one a level is the least
    assert deepest["rq_transformer"]["calls"]["depth"] == 4 * POSITIONS
    assert report["command"].startswith("resgen-tts bench schemes --output") and report["seed"] == 0
    assert report["options"]["guidance"] == 2.0 and report["commit"] and report["hardware"]
    text = (tmp_path / "schemes.md").read_text()
    assert "5 + 10" in text and "4 steps" in text
    assert capsys.readouterr().out.strip() in text
    assert (tmp_path / "depths.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["bench"], "bench measures schemes; got nothing"),
        (["bench", "codecs"], "got 'codecs'"),
        (arguments("x", schemes="resgen,gpt"), "no scheme gpt; there are resgen"),
        (arguments("x", depths="4,0"), "--depths must be at least 1, got 0"),
        (arguments("x", parameters=20), "the nearest that resgen comes is"),
        (arguments("x", inner_steps=0), "--inner_steps must be at least 1"),
        (arguments("x", steps=0), "sampler.steps must be at least 1"),
        (arguments("x", checkpoints="run"), "--checkpoints needs --image_vae and --data"),
        (arguments("x", rounds=0), "leaves nothing to measure"),
        (arguments("x", checkpoints="run", image_vae="v", data="digits", samples=5), "--samples must be at least 100"),
    ],
)
def test_nonsense_is_refused_before_anything_is_measured(line, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_peak_memory_grows_with_the_batch():
    """Measured in a process of its own, where the bytes of a large batch cannot hide in what is already there."""
    peaks = []
    for batch in (1, 64):
        options = SpeedOptions(**SMALL, depth=DEPTH, positions=128, batch=batch)
        config = fitted_config("resgen", options)
        peaks.append(peak_memory("resgen", config, SamplerConfig(steps=1, order="random"), 1, options))
    if None in peaks:
        pytest.skip("this system does not tell the peak of resident memory")
    assert peaks[1] > peaks[0] + 4 * 63 * 128 * config.width


@pytest.fixture
def trained(tmp_path):
    """An untrained tokenizer of scikit-learn's digits and a generator of its codes, as their trainers leave them."""
    quantizer = QuantizerConfig(depth=2, codebook_size=8, dim=4, warmup_vectors=128)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = ImageVAE(ImageVAEConfig(image_size=8, widths=(8, 16), blocks=(0, 0), quantizer=quantizer))
        vae.quantizer.codebooks.copy_(torch.randn(2, 8, 4))
        vae.quantizer.started.fill_(True)
        config = MaskgitRvqConfig(width=16, layers=1, heads=2, num_classes=10, grid_width=4)
        generator = ImageGenerator(build_generator(config, vae.code_space), (4, 4))
    save_model(tmp_path / "vae", vae.state_dict(), {"part": "image_vae", "model": to_plain(vae.config)})
    resolved = {
        "part": "image_generator", "scheme": "maskgit_rvq", "model": to_plain(config), "train": {"seed": 0},
        "codes": {"grid": [4, 4], "code_space": code_space_hash(vae.code_space)}, "batches": {"conditional": True},
    }  # fmt: skip
    save_model(tmp_path / "run" / "final", generator.state_dict(), resolved)
    rows = [{"kind": "validate", "step": step, "nats_per_code": 2.5 - step / 10} for step in (10, 20)]
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_trained_generators_stand_beside_real_pictures(trained, capsys):
    line = ["bench", "schemes", "--rounds", "0", "--checkpoints", str(trained / "run"), "--data", "digits"]
    line += ["--output", str(trained / "out"), "--samples", "100", "--steps", "1", "--guidance-end", "2"]
    assert main([*line, "--image-vae", str(trained / "vae")]) == 0
    quality = json.loads((trained / "out" / "schemes.json").read_text())["quality"]
    (row,) = quality["checkpoints"]
    assert (row["guidance_end"], row["network_calls"], row["nats_per_code"]) == (2.0, "2", 0.5)
    assert row["frechet"] > quality["real"]["others"]["frechet"]
    assert quality["real"]["others"]["agreement"] > 0.8
    assert len(list((trained / "out").glob("*.png"))) == 1
    # The codes of one tokenizer mean nothing to another.
    other = ImageVAE(ImageVAEConfig(image_size=8, widths=(8, 16), blocks=(0, 0), quantizer=QuantizerConfig(dim=4)))
    other.quantizer.started.fill_(True)
    save_model(trained / "other", other.state_dict(), {"part": "image_vae", "model": to_plain(other.config)})
    assert main([*line, "--image-vae", str(trained / "other")]) == 2
    assert "another image VAE" in capsys.readouterr().err


def test_several_runs_of_a_scheme_are_shown_with_their_mean():
    def row(run, frechet):
        return {
            "run": run, "scheme": "resgen", "guidance_end": 1.0, "frechet": frechet, "agreement": 0.9,
            "nats_per_code": None, "network_calls": "15", "seconds_alone": 0.1, "seconds_in_batch": 0.01,
        }  # fmt: skip

    text = quality_table({"checkpoints": [row("a", 3.0), row("b", 4.0)], "real": {}, "samples": 100})
    assert "mean of 2" in text and "3.500 ± 0.500" in text
