"""``synthesize-list``: the items of an evaluation, beside their recordings and their copies where there are any.

The output of a continuation is the prompt's own samples, at the model's rate, with what was generated behind them.
Prompt and target are not decoded together: the tokenizer has learnt to encode either from its own beginning, and what a
system is given is not its own work. What was generated gets back the level of the prompt, which is brought to one of
its own before it becomes codes.
"""

import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from resgen_tts.apps.scoring.synthesis_speed import SpeedLog
from resgen_tts.apps.scoring.synthesis_tasks import PAIRS, Task, pair_tasks, tasks_of_list, tasks_of_pairs, tasks_of_set
from resgen_tts.common.errors import ConfigError, DataError, ResGenError
from resgen_tts.common.run_dir import (
    commit_hash,
    hardware_line,
    read_json,
    sha256_file,
    write_bytes,
    write_json,
    write_text,
)
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.speech.length import LengthConfig
from resgen_tts.speech.reference import ReferenceConfig

if TYPE_CHECKING:
    from resgen_tts.speech.synthesizer import Synthesizer

__all__ = ["PAIRS", "Manner", "Task", "pair_tasks", "speak_tasks", "synthesize_list", "tasks_of_list", "tasks_of_pairs"]
CONTINUATION = "the prompt's own samples, at the model's rate, and what was generated behind them"


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How items are spoken."""

    sampler: SamplerConfig = SamplerConfig()  # noqa: RUF009 (frozen)
    reference: ReferenceConfig = ReferenceConfig(refuse_misfit=False)  # noqa: RUF009 (frozen)
    length: LengthConfig = LengthConfig()  # noqa: RUF009 (frozen)


def synthesize_list(
    output: Path,
    data: Path | None = None,
    pairs: str = PAIRS,
    item_list: Path | None = None,
    items: Path | None = None,
    model: str | None = None,
    mel_vae: Path | None = None,
    vocoder: Path | None = None,
    generator: Path | None = None,
    sampler: SamplerConfig | None = None,
    reference: ReferenceConfig = ReferenceConfig(refuse_misfit=False),  # noqa: B008 (frozen)
    length: LengthConfig = LengthConfig(),  # noqa: B008 (frozen)
    limit: int | None = None,
    seed: int = 0,
    threads: int = 0,
    max_bad_fraction: float = 0.01,
    device: str = "auto",
    watermark: str = "none",
) -> None:
    """Speak every evaluation item: a protocol's set or the pairs of a prepared corpus, beside recording and
    copy-synthesis, or a list.

    A run that was stopped goes on with the items that are missing.

    Args:
        output: folder of waves, requests.jsonl and run.json.
        data: folder with manifests and text, whose pairs are spoken.
        pairs: table of the pairs, inside ``data``.
        item_list: in place of ``data``, a table of items without a recording (see ``tools/cross_items.py``).
        items: in place of ``data``, the set of a protocol (see the verb ``protocol``).
        model: an exported model's folder, the name of a bundled one or of one of the hub, in place of its three parts.
        mel_vae: trained Mel-VAE.
        vocoder: trained vocoder, or griffin_lim.
        generator: trained generator.
        sampler: how codes are revealed; where nothing of it is given, the exported model's own, or the default.
        reference: what is done to a prompt before it becomes codes; one that does not fit its text is spoken after all,
            with a warning, so that the figures of a weak model are those of all items.
        length: how long the speech becomes.
        limit: only the first items.
        seed: of the sampler; every item has its own stream.
        threads: CPU threads; 0 leaves torch's choice.
        max_bad_fraction: share of items that may fail before the stage does; run.json names those that failed.
        device: auto, cpu, cuda or cuda:N.
        watermark: of what is generated, e.g. perth, to measure what the doors give out; none by default, and said so:
            figures are of the model.
    """
    import torch

    from resgen_tts.apps.devices import choose_device
    from resgen_tts.apps.provenance.watermark import load_watermarker
    from resgen_tts.apps.weights.pretrained import load_system
    from resgen_tts.evaluation.protocols.item_list import read_list
    from resgen_tts.evaluation.protocols.item_set import read_item_set

    if sum(one is not None for one in (data, item_list, items)) != 1:
        raise ConfigError(
            "give one of --items, a protocol's set, --data, a prepared corpus, and --item_list, a table.",
            code="USAGE",
        )
    if threads:
        torch.set_num_threads(threads)
    parts, own_sampler = _parts(model, mel_vae, vocoder, generator)
    manner = Manner(sampler=sampler or own_sampler, reference=reference, length=length)
    item_set = None if items is None else read_item_set(items)
    started = time.perf_counter()
    place, marker = choose_device(device, sys.stderr.write), load_watermarker(watermark)
    system = load_system(**parts).to(place)
    system.finish = None if marker is None else marker.mark
    if marker is None:
        print("synthesize: not watermarked, since it is the model that is measured (--watermark perth marks it)")
    load_seconds = time.perf_counter() - started
    settings: dict[str, Any] = {"seed": seed, **_plain(manner), "models": model_facts(system, parts), "limit": limit}
    settings |= {"device": place, "watermark": "none" if marker is None else marker.name}
    if item_list is not None:
        settings["item_list"] = sha256_file(Path(item_list))
    elif item_set is not None:
        settings["items"] = item_set.sha256
    elif pairs != PAIRS:
        settings["pairs"] = pairs
    output = Path(output)
    _refuse_other_settings(output / "run.json", settings)
    before = read_json(output / "run.json") if (output / "run.json").is_file() else {}
    if item_set is not None:
        tasks = tasks_of_set(item_set, system, reference)
    elif item_list is not None:
        tasks = tasks_of_list(read_list(item_list), system, reference)
    else:
        tasks = tasks_of_pairs(Path(str(data)), pairs)
    tasks = tasks[:limit]
    is_whole = bool(before) and all(_line_file(output, task).is_file() for task in tasks)
    write_json(
        output / "run.json",
        {
            "command": shlex.join(["resgen-tts", *sys.argv[1:]]),
            "commit": before["commit"] if is_whole else _commits_with(before, commit_hash()),
            "hardware": hardware_line(),
            "threads": before["threads"] if is_whole else _threads_with(before, torch.get_num_threads()),
            "failed": before.get("failed") or {},
            **settings,
            **({"speed": before["speed"]} if before.get("speed") else {}),
            **({} if item_set is None else {"protocol": dict(item_set.facts)}),
            **({"continuation": CONTINUATION} if item_set and any(one.continues for one in item_set.items) else {}),
        },
    )
    speed = SpeedLog(output / "run.json", load_seconds)
    rows, failed = speak_tasks(
        system,
        tasks,
        output,
        manner,
        seed,
        on_spoken=speed.spoken,
        on_failed=lambda name, why: _note_failures(output, {**read_json(output / "run.json")["failed"], name: why}),
    )
    speed.finish()
    _note_failures(output, failed)  # what failed in an earlier run was tried again
    print(f"synthesize: read {len(rows) + len(failed)} = spoken {len(rows)} + failed {len(failed)}")
    write_json(output / "data_report.json", {"read": len(rows) + len(failed), "used": len(rows), "skipped": failed})
    if len(failed) > max_bad_fraction * (len(rows) + len(failed)):
        listed = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise DataError(f"{len(failed)} items could not be spoken: {listed}")


def speak_tasks(
    system: "Synthesizer",
    tasks: Sequence[Task],
    output: Path,
    manner: Manner,
    seed: int,
    *,
    has_copies: bool = True,
    on_spoken: Callable[[Mapping[str, Any]], None] | None = None,
    on_failed: Callable[[str, str], None] | None = None,
) -> tuple[list[dict], dict[str, str]]:
    """Speak items into a synth folder; those that are there already are kept. ``requests.jsonl`` is written last.

    Args:
        has_copies: recordings and prompts are put through the tokenizer and back, too.
        on_spoken: told the line of each item that was not there before.
        on_failed: told the id of each item that could not be spoken, and why.
    Returns:
        the lines of ``requests.jsonl``, and why the other items could not be spoken.
    """
    from tqdm import tqdm

    from resgen_tts.common.randomness import seed_of

    rows, failed = [], {}
    for task in tqdm(tasks, desc="synthesize", unit="item", disable=None):
        done = _line_file(output, task)
        if not done.is_file():
            try:
                made = _speak(system, task, output, manner, seed_of(seed, task.id) % 2**31, has_copies)
            except ResGenError as error:
                failed[task.id] = str(error)
                if on_failed is not None:
                    on_failed(task.id, str(error))
                continue
            write_json(done, made)
            if on_spoken is not None:
                on_spoken(made)
        rows.append(json.loads(done.read_text(encoding="utf-8")))
    write_text(output / "requests.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows, failed


def model_facts(system: "Synthesizer", parts: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Parameters and hash of each trained part."""
    from resgen_tts.apps.weights.parts import final_folder
    from resgen_tts.apps.weights.pretrained import GRIFFIN_LIM

    modules = {"mel_vae": system.tokenizer.mel_vae, "vocoder": system.tokenizer.vocoder, "generator": system.generator}
    return {
        name: {
            "parameters": sum(parameter.numel() for parameter in modules[name].parameters()),
            "sha256": sha256_file(final_folder(folder) / "model.safetensors"),
        }
        for name, folder in parts.items()
        if str(folder) != GRIFFIN_LIM
    }


def _parts(
    model: str | None, mel_vae: Path | None, vocoder: Path | None, generator: Path | None
) -> tuple[dict[str, Path], SamplerConfig]:
    """Folders of the three parts, and the sampler that goes with them."""
    given = {"mel_vae": mel_vae, "generator": generator, "vocoder": vocoder}
    if model is None:
        missing = [name for name, folder in given.items() if folder is None]
        if missing:
            raise ConfigError(f"give --model, or --{', --'.join(missing)} too.", code="USAGE")
        return {name: Path(folder) for name, folder in given.items()}, SamplerConfig()
    if any(folder is not None for folder in given.values()):
        raise ConfigError("give --model or its parts, not both.", code="USAGE")
    return model_parts(model)


def model_parts(model: Path | str) -> tuple[dict[str, Path], SamplerConfig]:
    """Folders of the parts of an exported model, which may be a bundled one's name, and its sampler.

    Raises:
        CheckpointError: MODEL_MISSING, there is no such model.
    """
    from resgen_tts.apps.weights.bundled import asset_mended, read_model_facts
    from resgen_tts.apps.weights.hub import resolve_model
    from resgen_tts.apps.weights.pretrained import exported_parts
    from resgen_tts.common.config import from_plain

    folder = resolve_model(model)
    with asset_mended(folder):
        return exported_parts(folder), from_plain(SamplerConfig, read_model_facts(folder)["sampler"])


def _plain(manner: Manner) -> dict[str, dict[str, Any]]:
    return {name: vars(one) for name, one in vars(manner).items()}


def _speak(
    system: "Synthesizer", task: Task, output: Path, manner: Manner, seed: int, has_copies: bool
) -> dict[str, Any]:
    from resgen_tts.speech.audio.save import save_wav

    rate = system.tokenizer.sample_rate
    prompt = task.load_prompt()
    started, cpu_started = time.perf_counter(), time.process_time()
    voice = system.voice(prompt, task.prompt_text, reference=manner.reference)
    spoken = system(task.say or task.text, voice, seed=seed, sampler=manner.sampler, length=manner.length)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    warnings = list(spoken.warnings)  # the clone's clipping is among them

    def keep(kind: str, name: str, wave: Callable[[], np.ndarray]) -> str:
        own = task.file(kind)
        path = f"wav/{kind}/{name}.wav" if own is None else f"wav/{kind}/{own.name}"
        if own is not None:
            if not (output / path).is_file():
                write_bytes(output / path, own.read_bytes())
            return path
        if not (output / path).is_file():  # one prompt may lead many items
            warnings.extend(f"{note} ({kind})" for note in save_wav(output / path, wave(), rate))
        return path

    audio, continued_seconds = spoken.audio, 0.0
    if task.load_lead is not None:
        lead = task.load_lead()
        audio = continued(lead, audio, float(voice.facts["gain_db"]))
        continued_seconds = len(lead) / rate
    systems = {}
    if task.load_recording is not None:
        target = task.load_recording()
        systems["recording"] = keep("recording", task.recording_name, lambda: target)
        if has_copies:
            systems["copy"] = keep("copy", task.recording_name, lambda: system.resynthesize(target))
    systems["clone"] = f"wav/clone/{task.id}.wav"
    notes = save_wav(output / systems["clone"], audio, rate)
    if task.load_lead is not None:  # else they are among those of what was spoken
        warnings.extend(f"{note} (clone)" for note in notes)
    return {
        "id": task.id,
        "speaker": task.speaker,
        "target_id": task.target_id,
        "prompt_id": task.prompt_id,
        "text": task.text,
        "prompt_text": task.prompt_text,
        "systems": systems,
        "prompt": keep("prompt", task.prompt_id, lambda: prompt),
        "prompt_copy": keep("prompt_copy", task.prompt_id, lambda: system.resynthesize(prompt)) if has_copies else None,
        "trial": task.trial,
        "say": task.say or task.text,
        "continued_seconds": continued_seconds,
        "reference": None if task.file("reference") is None else keep("reference", "", lambda: prompt),
        "seconds_of_audio": spoken.seconds,  # what was generated, without the prompt in front of it
        "seconds_to_generate": seconds,
        "cpu_seconds_to_generate": cpu_seconds,  # of all threads: what a busy machine does not change
        "seconds_to_first_audio": spoken.timings["first_audio"],  # the voice being there
        "seed": seed,
        "warnings": warnings,
    }


def continued(
    lead: Float[np.ndarray, "N"], generated: Float[np.ndarray, "M"], gain_db: float
) -> Float[np.ndarray, "N+M"]:
    """A prompt and what was generated behind it, at the prompt's own level.

    Args:
        gain_db: what the prompt was lifted by before it became codes.
    """
    return np.concatenate([lead, generated * np.float32(10 ** (-gain_db / 20))])


def _line_file(output: Path, task: Task) -> Path:
    """Where an item's line of ``requests.jsonl`` is kept as soon as the item is spoken."""
    return output / "items" / f"{task.id}.json"


def _note_failures(output: Path, failed: Mapping[str, str]) -> None:
    """Keep in run.json which items could not be spoken, and why: scoring counts them."""
    write_json(output / "run.json", {**read_json(output / "run.json"), "failed": dict(failed)})


def _threads_with(before: Mapping[str, Any], now: int) -> list[int]:
    """Every number of threads that items of a folder were made with: one that was stopped may go on with others.

    Args:
        before: run.json as it was, or nothing.
    """
    return sorted({*before.get("threads", []), now})


def _commits_with(before: Mapping[str, Any], now: str) -> str:
    """Every commit that items of a folder were made at, in their order, e.g. ``0f3e, 77ab+dirty``."""
    return ", ".join(dict.fromkeys([*filter(None, before.get("commit", "").split(", ")), now]))


def _refuse_other_settings(path: Path, settings: dict) -> None:
    """Items made under other settings must not be mixed with new ones."""
    if not path.is_file():
        return
    before = {"device": "cpu", "watermark": "none", **json.loads(path.read_text(encoding="utf-8"))}  # as was earlier
    changed = [name for name, value in settings.items() if before.get(name) != value]
    if changed:
        raise DataError(
            f"{path.parent} holds items made with another {', '.join(changed)}.",
            code="STALE_OUTPUT",
            hint="Remove the folder, or write to another.",
        )
