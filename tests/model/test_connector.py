"""The connectors: every stacking remainder, batches, scale, the hybrid's start at the cascade."""

import pytest
import torch

from audiochat.model.config import ConnectorConfig
from audiochat.model.connector import (
    EndToEndConnector,
    HybridConnector,
    frames_beneath,
    spoken_frames,
    stack_frames,
)

DIM, LLM_DIM, N_UNITS, RMS = 16, 24, 12, 0.05


def connector_config(stack: int = 1) -> ConnectorConfig:
    return ConnectorConfig(
        "end_to_end", DIM, LLM_DIM, stack=stack, hidden_dim=20, embedding_rms=RMS
    )


def encoded(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(length)
    frames = torch.randn(batch, length, DIM)
    log_probs = (torch.randn(batch, length, N_UNITS) * 3).log_softmax(-1)
    return frames, log_probs


@pytest.mark.parametrize("stack", [1, 2, 3, 4])
@pytest.mark.parametrize("remainder", range(4))
def test_stacking_loses_no_frame_at_any_remainder(stack: int, remainder: int) -> None:
    length = 2 * stack + remainder
    frames = torch.arange(1, length + 1).float()[None, :, None].expand(1, -1, DIM)
    stacked, counts = stack_frames(frames, torch.tensor([length]), stack)
    assert int(counts) == stacked.shape[1] == -(-length // stack)
    assert float(stacked.sum()) == float(frames.sum())


@pytest.mark.parametrize("stack", [1, 2, 3])
def test_a_batch_equals_one_by_one(stack: int) -> None:
    torch.manual_seed(0)
    connector = EndToEndConnector(connector_config(stack), N_UNITS)
    torch.nn.init.normal_(connector.project[2].weight)
    frames, log_probs = encoded(3, 17)
    lengths = torch.tensor([17, 5, 11])
    together, counts = connector(frames, log_probs, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, count = connector(
            frames[row : row + 1, :length],
            log_probs[row : row + 1, :length],
            lengths[row : row + 1],
        )
        assert int(count) == int(counts[row])
        torch.testing.assert_close(together[row, : int(count)], alone[0])
        assert not together[row, int(count) :].any()


def test_what_goes_out_has_the_scale_of_the_embeddings() -> None:
    connector = EndToEndConnector(connector_config(), N_UNITS)
    torch.nn.init.normal_(connector.project[2].weight, std=10)
    out, counts = connector(*encoded(1, 9), torch.tensor([9]))
    rms = out[0, : int(counts)].square().mean(-1).sqrt()
    torch.testing.assert_close(rms, torch.full_like(rms, RMS), rtol=1e-3, atol=1e-5)


def test_blank_frames_are_dropped_and_order_is_kept() -> None:
    frames = torch.arange(6).float()[None, :, None].expand(1, -1, DIM)
    probs = torch.full((1, 6, N_UNITS), 0.01)
    probs[..., 0] = torch.tensor([0.99, 0.1, 0.99, 0.2, 0.99, 0.3])
    kept, _, counts = spoken_frames(frames, probs.log(), torch.tensor([6]), max_blank=0.9)
    assert int(counts) == 3
    assert kept[0, :, 0].tolist() == [1.0, 3.0, 5.0]


def test_a_clip_of_blanks_still_gives_one_embedding() -> None:
    connector = EndToEndConnector(connector_config(), N_UNITS)
    probs = torch.full((1, 4, N_UNITS), 1e-4)
    probs[..., 0] = 1.0
    _, counts = connector(torch.randn(1, 4, DIM), probs.log(), torch.tensor([4]))
    assert int(counts) == 1


def test_the_untrained_hybrid_is_the_cascade() -> None:
    config = ConnectorConfig("hybrid", DIM, LLM_DIM, hidden_dim=20, embedding_rms=RMS)
    tokens = torch.randn(5, LLM_DIM)
    assert torch.equal(HybridConnector(config)(tokens, torch.randn(5, DIM), torch.ones(5)), tokens)


def test_what_is_heard_for_sure_stays_text() -> None:
    config = ConnectorConfig(
        "hybrid", DIM, LLM_DIM, hidden_dim=20, embedding_rms=RMS, min_doubt=0.4
    )
    connector = HybridConnector(config)
    torch.nn.init.normal_(connector.residual[-1].weight)
    tokens, frames = torch.randn(4, LLM_DIM), torch.randn(4, DIM)
    moved = connector(tokens, frames, torch.tensor([0.0, 0.3, 0.7, 1.0])) - tokens
    whole = connector(tokens, frames, torch.ones(4)) - tokens
    assert torch.equal(moved[:2], torch.zeros(2, LLM_DIM))
    torch.testing.assert_close(moved[2:], torch.tensor([[0.5], [1.0]]) * whole[2:])
    assert float(whole.detach().abs().amax(-1).min()) > 0


def test_frames_beneath_a_span_are_averaged() -> None:
    frames = torch.arange(8).float()[:, None].expand(-1, DIM)
    assert frames_beneath(frames, [(0, 1), (4, 4)])[:, 0].tolist() == [0.5, 4.0]
    assert frames_beneath(frames, []).shape == (0, DIM)
