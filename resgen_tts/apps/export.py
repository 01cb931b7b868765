"""The stage ``export``: one folder with everything that speaking needs."""

import shutil
from pathlib import Path

from resgen_tts.apps.parts import final_folder
from resgen_tts.apps.pretrained import GRIFFIN_LIM, PARTS, load_exported
from resgen_tts.common.config import to_plain
from resgen_tts.common.run_dir import commit_hash, hardware_line, read_json, staged_folder, write_json, write_text
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.engine.checkpoint import load_model


def export(exp: Path, output: Path, name: str = "", report: Path | None = None, vocoder: Path | None = None) -> None:
    """Copy the trained parts (safetensors, configuration, checksums) and write a model card.

    Args:
        exp: folder with mel_vae, vocoder and generator.
        output: folder to write; replaced as a whole.
        name: of the model in its card; the output folder's name where left out.
        report: Markdown report to include in the card.
        vocoder: its folder, or griffin_lim; ``exp``'s where left out.
    """
    with staged_folder(output) as folder:
        lines = []
        named = {"vocoder": vocoder} if vocoder is not None else {}
        for part in PARTS:
            if str(named.get(part)) == GRIFFIN_LIM:
                lines.append("| vocoder | Griffin-Lim, not trained |")
                continue
            source = final_folder(named.get(part) or Path(exp) / part)
            tensors, _ = load_model(source)  # verified before it is copied
            shutil.copytree(source, folder / part)
            millions = sum(value.numel() for value in tensors.values()) / 1e6
            lines.append(f"| {part} | {millions:.2f} M values |")
        write_json(
            folder / "model.json",
            {
                "name": name or Path(output).name,
                "commit": commit_hash(),
                "hardware": hardware_line(),
                "parts": PARTS,
                "sampler": _scored_sampler(Path(exp)),
                "vocoder": GRIFFIN_LIM if str(vocoder) == GRIFFIN_LIM else "vocoder",
            },
        )
        load_exported(folder)  # what was copied must load
        measured = Path(report).read_text(encoding="utf-8") if report is not None else "No report was given.\n"
        card = (
            f"# {name or Path(output).name}\n\nA ResGen text-to-speech system (arXiv:2412.10208), made by resgen_tts "
            f"at commit {commit_hash()}.\n\n| part | size |\n|---|---|\n" + "\n".join(lines) + "\n\n"
            "It speaks English in the voice of a reference recording. Use it only with voices whose owners agree; say "
            "that the speech is synthetic.\n\n## Measured\n\n" + measured
        )
        write_text(folder / "README.md", card)
    print(f"export: {output}")


def _scored_sampler(exp: Path) -> dict:
    """The sampler of the figures in the card; the default where nothing was synthesized."""
    run = exp / "synth" / "run.json"
    return read_json(run)["sampler"] if run.is_file() else to_plain(SamplerConfig())
