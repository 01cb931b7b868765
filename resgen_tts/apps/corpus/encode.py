"""The stage ``encode``: codes, mel and symbols of every transcribed utterance in shards; then durations."""

import json
from pathlib import Path

import torch

from resgen_tts.common.errors import DataError, TextError
from resgen_tts.common.run_dir import read_json, read_jsonl, staged_folder, write_json, write_text

SHARD_UTTERANCES = 1000
SPLITS = ("train", "dev")


def encode(
    data: Path,
    mel_vae: Path,
    output: Path,
    max_bad_fraction: float = 0.01,
    threads: int = 0,
    device: str = "cpu",
) -> None:
    """Write codes [L, D], log-mel [T, M], symbol numbers and, for units byt5, features of the training and dev splits.

    Every utterance is followed by silence up to a whole code frame, so that T = L * frames_per_code.

    Args:
        data: folder with manifests and text.
        mel_vae: trained Mel-VAE.
        output: folder of the shards; replaced as a whole when all is done.
        max_bad_fraction: share of utterances that may be skipped before the stage fails.
        threads: CPU threads; 0 leaves torch's choice.
        device: where ByT5 runs, for units byt5.
    """
    from safetensors.torch import save_file
    from tqdm import tqdm

    from resgen_tts.apps.corpus.text import read_inventory
    from resgen_tts.apps.weights.pretrained import load_mel_vae
    from resgen_tts.speech.corpus import load_cuts
    from resgen_tts.speech.text.symbols import PAUSE
    from resgen_tts.tokenizers.log_mel import LogMel

    if threads:
        torch.set_num_threads(threads)
    inventory, model = read_inventory(data), load_mel_vae(mel_vae)
    log_mel, config = LogMel(model.config.mel), model.config
    byt5 = load_byt5(inventory.byt5, device, Path(data) / "text") if inventory.byt5 else None
    report = {}
    with staged_folder(output) as folder:
        for split in SPLITS:
            cuts = {cut.id: cut for cut in load_cuts(data, split)}
            texts = read_jsonl(Path(data) / "text" / f"{split}.jsonl")
            if byt5:
                byt5.store([text["text"] for text in texts])
            rows, shard, number, skipped = [], {}, 0, {}
            for place, text in enumerate(tqdm(texts, desc=f"encode {split}", disable=None)):
                cut = cuts[text["id"]]
                try:
                    symbols, unknown = inventory.encode(text["symbols"])
                except TextError as error:
                    skipped[cut.id] = str(error)
                    continue
                for warning in unknown:
                    print(f"encode: {cut.id}: {warning}")
                wave = torch.from_numpy(cut.load_audio())
                wave = torch.nn.functional.pad(wave, (0, -wave.shape[1] % config.hop_samples))
                mel = log_mel(wave)
                lasting = sum(number != inventory.number(PAUSE) for number in symbols)  # a pause may last no frame
                if lasting > mel.shape[1]:
                    skipped[cut.id] = f"{lasting} symbols for {mel.shape[1]} mel frames"
                    continue
                with torch.inference_mode():
                    codes = model.quantize(model.encode_latent(mel, torch.tensor([mel.shape[1]])))[0]
                shard[f"{cut.id}.codes"] = codes.to(torch.int16).contiguous()
                shard[f"{cut.id}.mel"] = mel[0].to(torch.float16).contiguous()
                shard[f"{cut.id}.symbols"] = torch.tensor(symbols, dtype=torch.int16)
                if byt5:
                    (features,) = byt5.encode([text["text"]])
                    between_silences = torch.nn.functional.pad(features, (0, 0, 1, 1))
                    shard[f"{cut.id}.features"] = between_silences.to(torch.float16).contiguous()
                file = f"{split}-{number:05d}.safetensors"
                seconds = len(codes) / config.frame_rate_hz
                rows.append({"id": cut.id, "speaker": cut.supervisions[0].speaker, "seconds": seconds, "shard": file})
                if len(shard) >= (4 if byt5 else 3) * SHARD_UTTERANCES or place == len(texts) - 1:
                    save_file(shard, str(folder / file))
                    shard, number = {}, number + 1
            if shard:  # the last utterances of the split were skipped
                save_file(shard, str(folder / file))
            report[split] = {"read": len(texts), "used": len(rows), "skipped": skipped}
            if len(skipped) > max_bad_fraction * len(texts):
                raise DataError(f"{len(skipped)} of {len(texts)} utterances of {split} cannot be encoded: {skipped}")
            write_text(folder / f"{split}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
            hours = sum(row["seconds"] for row in rows) / 3600
            print(f"encode: {split}: read {len(texts)} = used {len(rows)} + skipped {len(skipped)}; {hours:.2f} h")
        write_json(folder / "data_report.json", report)
        write_json(
            folder / "codes.json",
            {
                "frame_rate_hz": config.frame_rate_hz,
                "frames_per_code": config.stride,
                "num_mels": config.mel.num_mels,
                "depth": model.code_space.depth,
                "codebook_size": model.code_space.codebook_size,
                "feature_dim": byt5.width if byt5 else 0,
            },
        )
    if byt5:
        files, size = byt5.cache_size()
        print(f"encode: {files} texts' ByT5 features kept, {size / 2**20:.1f} MiB in {byt5.cache}")


def load_byt5(name: str, device: str, folder: Path):
    """The ByT5 that an inventory names, with its features kept in ``folder``/byt5."""
    from resgen_tts.speech.text.byt5 import ByT5

    return ByT5(name, device, cache=Path(folder) / "byt5")


def align(codes: Path, aligner: Path, threads: int = 0) -> None:
    """Add to encoded shards the mel frames of every symbol, by the trained aligner.

    Args:
        codes: folder that ``encode`` wrote.
        aligner: trained aligner.
        threads: CPU threads; 0 leaves torch's choice.
    """
    from safetensors.torch import save_file
    from tqdm import tqdm

    from resgen_tts.apps.weights.pretrained import load_aligner
    from resgen_tts.speech.corpus import CodeShards, durations_file

    if threads:
        torch.set_num_threads(threads)
    model, _ = load_aligner(aligner)
    statistics = {}
    for split in SPLITS:
        shards = CodeShards(codes, split, aligned=False)
        found = {}
        for name in tqdm(shards.rows, desc=f"align {split}", disable=None):
            item = shards[name]
            count = torch.tensor([len(item.symbols)])
            with torch.inference_mode():
                given = None if item.features is None else item.features[None]
                encoded = model.encode(item.symbols[None], count, given)
                row = model.align(encoded, item.symbols[None], count, item.mel[None], torch.tensor([len(item.mel)]))[0]
            found[name] = row.to(torch.int16)
        path = durations_file(Path(codes), split)
        staged = path.with_suffix(".tmp")
        save_file(found, str(staged))
        staged.replace(path)
        inner = torch.cat([row[1:-1] for row in found.values()]).float()
        statistics[split] = {
            "utterances": len(found),
            "mean_frames_per_symbol": float(inner.mean()),
            "share_of_no_frame": float((inner == 0).float().mean()),  # pauses that nobody made
            "share_of_one_frame": float((inner == 1).float().mean()),
            "longest_symbol": int(inner.max()),
        }
        print(f"align: {split}: {statistics[split]}")
    write_json(Path(codes) / "durations.json", statistics)


def read_codes_info(codes: Path) -> dict:
    """What the encode stage says of its shards."""
    return read_json(Path(codes) / "codes.json")
