"""Two processes on gloo hold the same codebooks as one process on the joined batch, whichever way they learn."""

import torch
from torch.nn.parallel import DistributedDataParallel

from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.quantizer import PRVQ, QuantizerConfig

STEPS, FRAMES = 6, 80
SIZES = {"depth": 3, "codebook_size": 8, "dim": 4, "warmup_vectors": 100, "decay": 0.8}
# How the frames of a step fall on the ranks. Averages take any shares; data parallelism weights every rank's gradient
# alike, so gradients are those of the joined batch where the shares are equal.
EDGES = {"ema": (0, 45, FRAMES), "gradient": (0, FRAMES // 2, FRAMES)}


def latents_of(step):
    return torch.randn(1, FRAMES, 4, generator=generator(20, step)) * torch.tensor([2, 1, 0.5, 0.2])


def train(update, first, last, wrap):
    """A start by k-means in the second step, then moves, and codes that die: one on every level is put far away.

    Returns the final state and how many codes were revived.
    """
    quantizer = PRVQ(QuantizerConfig(**SIZES, update=update))
    module = wrap(quantizer)
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=1e-3) if update == "gradient" else None
    revived = 0
    for step in range(STEPS):
        if step == 3:
            with torch.no_grad():
                quantizer.codebooks[:, 5] = 100.0
                quantizer.mean_use[:, 5] = 0.0
        output = module(latents_of(step)[:, first:last])
        if optimizer is not None:
            optimizer.zero_grad()
            output.codebook_loss.backward()
            optimizer.step()
        quantizer.update(output.statistics, generator(0, step))
        if step == 3:
            revived = int((quantizer.codebooks[:, 5].abs().amax(-1) < 50).sum())
    assert bool(quantizer.started)
    return quantizer.state_dict(), revived


def run_rank(rank, world, store, queue):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    found = {}
    for update, edges in EDGES.items():
        wrap = DistributedDataParallel if update == "gradient" else (lambda module: module)
        state, _ = train(update, edges[rank], edges[rank + 1], wrap)
        found[update] = {name: value.numpy() for name, value in state.items()}
    queue.put((rank, found))
    torch.distributed.destroy_process_group()


def test_two_ranks_equal_one_on_the_joined_batch(tmp_path):
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    ranks = [context.Process(target=run_rank, args=(rank, 2, tmp_path / "store", queue)) for rank in range(2)]
    for process in ranks:
        process.start()
    results = dict(queue.get(timeout=120) for _ in ranks)
    for process in ranks:
        process.join(timeout=30)
        assert process.exitcode == 0
    for update in EDGES:
        alone, revived = train(update, 0, FRAMES, lambda module: module)
        assert revived == SIZES["depth"]  # else the test would not see a revival
        for name, value in alone.items():
            for rank in range(2):
                found = torch.from_numpy(results[rank][update][name])
                torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5, msg=f"{update} {name}")
