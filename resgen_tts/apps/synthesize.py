"""``synthesize-list``: the items of an evaluation, beside their recordings and their copies."""

import json
import shlex
import sys
import time
from pathlib import Path

from resgen_tts.common.errors import DataError, ResGenError
from resgen_tts.common.run_dir import commit_hash, hardware_line, sha256_file, write_json, write_text
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.reference import ReferenceConfig


def synthesize_list(
    data: Path,
    mel_vae: Path,
    vocoder: Path,
    generator: Path,
    output: Path,
    sampler: SamplerConfig = SamplerConfig(),  # noqa: B008 (frozen)
    reference: ReferenceConfig = ReferenceConfig(refuse_misfit=False),  # noqa: B008 (frozen)
    length: LengthConfig = LengthConfig(),  # noqa: B008 (frozen)
    limit: int | None = None,
    seed: int = 0,
    threads: int = 0,
    max_bad_fraction: float = 0.01,
) -> None:
    """Speak every evaluation item of <data>/manifests/pairs.tsv, beside its recording and its copy-synthesis.

    A run that was stopped goes on with the items that are missing.

    Args:
        data: folder with manifests and text.
        mel_vae: trained Mel-VAE.
        vocoder: trained vocoder, or griffin_lim.
        generator: trained generator.
        output: folder of waves, requests.jsonl and run.json.
        sampler: how codes are revealed.
        reference: what is done to a prompt before it becomes codes; one that does not fit its text is spoken after all,
            with a warning, so that the figures of a weak model are those of all items.
        length: how long the speech becomes.
        limit: only the first items.
        seed: of the sampler; every item has its own stream.
        threads: CPU threads; 0 leaves torch's choice.
        max_bad_fraction: share of items that may fail before the stage does.
    """
    import torch
    from tqdm import tqdm

    from resgen_tts.apps.parts import final_folder
    from resgen_tts.apps.pretrained import GRIFFIN_LIM, load_system
    from resgen_tts.common.randomness import seed_of
    from resgen_tts.speech.corpus import load_cuts

    if threads:
        torch.set_num_threads(threads)
    system = load_system(mel_vae, vocoder, generator)
    parts = {"mel_vae": (mel_vae, system.tokenizer.mel_vae), "generator": (generator, system.generator)}
    if str(vocoder) != GRIFFIN_LIM:
        parts["vocoder"] = (vocoder, system.tokenizer.vocoder)
    models = {
        name: {
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "sha256": sha256_file(final_folder(folder) / "model.safetensors"),
        }
        for name, (folder, module) in parts.items()
    }
    configs = {"sampler": sampler, "reference": reference, "length": length}
    settings = {"seed": seed, **{name: vars(one) for name, one in configs.items()}, "models": models, "limit": limit}
    output = Path(output)
    _refuse_other_settings(output / "run.json", settings)
    write_json(
        output / "run.json",
        {
            "command": shlex.join(["resgen-tts", *sys.argv[1:]]),
            "commit": commit_hash(),
            "hardware": hardware_line(),
            **settings,
        },
    )
    cuts = {cut.id: cut for cut in load_cuts(data, "test")}
    rows, failed = [], {}
    for item in tqdm(_read_pairs(Path(data), cuts)[:limit], desc="synthesize", disable=None):
        done = output / "items" / f"{item['id']}.json"
        if not done.is_file():
            try:
                row = _synthesize_item(system, configs, cuts, item, output, seed_of(seed, item["id"]) % 2**31)
                write_json(done, row)
            except ResGenError as error:
                failed[item["id"]] = str(error)
                continue
        rows.append(json.loads(done.read_text(encoding="utf-8")))
    write_text(output / "requests.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"synthesize: read {len(rows) + len(failed)} = spoken {len(rows)} + failed {len(failed)}")
    write_json(output / "data_report.json", {"read": len(rows) + len(failed), "used": len(rows), "skipped": failed})
    if len(failed) > max_bad_fraction * (len(rows) + len(failed)):
        listed = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise DataError(f"{len(failed)} items could not be spoken: {listed}")


def _synthesize_item(system, configs: dict, cuts: dict, item: dict, output: Path, seed: int) -> dict:
    from resgen_tts.speech.audio_io import save_wav

    rate = system.tokenizer.sample_rate
    prompt, target = (cuts[item[name]].load_audio()[0] for name in ("prompt", "target"))
    started = time.perf_counter()
    voice = system.voice(prompt, item["prompt_text"], reference=configs["reference"])
    spoken = system(item["text"], voice, seed=seed, sampler=configs["sampler"], length=configs["length"])
    seconds = time.perf_counter() - started
    waves = {
        "prompt": prompt,
        "prompt_copy": system.resynthesize(prompt),
        "recording": target,
        "copy": system.resynthesize(target),
        "clone": spoken.audio,
    }
    paths = {name: f"wav/{name}/{item['id']}.wav" for name in waves}
    warnings = list(spoken.warnings)  # the clone's clipping is among them
    for name, wave in waves.items():
        notes = save_wav(output / paths[name], wave, rate)
        warnings += [f"{note} ({name})" for note in notes if name != "clone"]
    return {
        "id": item["id"],
        "speaker": item["speaker"],
        "target_id": item["target"],
        "prompt_id": item["prompt"],
        "text": item["text"],
        "prompt_text": item["prompt_text"],
        "systems": {name: paths[name] for name in ("recording", "copy", "clone")},
        "prompt": paths["prompt"],
        "prompt_copy": paths["prompt_copy"],
        "seconds_of_audio": spoken.seconds,
        "seconds_to_generate": seconds,
        "seed": seed,
        "warnings": warnings,
    }


def _read_pairs(data: Path, cuts: dict) -> list[dict]:
    """The evaluation items with their texts.

    Raises:
        DataError: the list is missing or empty, or names an utterance that test does not hold or has no transcript of.
    """
    import csv

    path = data / "manifests" / "pairs.tsv"
    if not path.is_file():
        raise DataError(f"{path} does not exist.", code="MANIFEST_MISSING", hint="Run the stage 'prepare' with pairs.")
    items = []
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            for name in ("prompt", "target"):
                if row[name] not in cuts or not cuts[row[name]].supervisions[0].text:
                    raise DataError(
                        f"{path.name}: {row['id']}: {name} {row[name]} is not a transcribed test utterance."
                    )
            texts = {name: cuts[row[name]].supervisions[0].text for name in ("prompt", "target")}
            items.append({**row, "text": texts["target"], "prompt_text": texts["prompt"]})
    if not items:
        raise DataError(f"{path} lists no item.", code="MANIFEST_EMPTY")
    return items


def _refuse_other_settings(path: Path, settings: dict) -> None:
    """Items made under other settings must not be mixed with new ones."""
    if not path.is_file():
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name, value in settings.items() if before.get(name) != value]
    if changed:
        raise DataError(
            f"{path.parent} holds items made with another {', '.join(changed)}.",
            code="STALE_OUTPUT",
            hint="Remove the folder, or write to another.",
        )
