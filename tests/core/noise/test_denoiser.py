"""Evaluation mode: on inside, and afterwards every part as it was."""

import pytest
import torch
from tiny_networks import TinyDenoiser

from core.noise.denoiser import Denoiser, evaluation_mode


def modes(module):
    return {name: part.training for name, part in module.named_modules()}


def test_every_part_gets_its_own_mode_back():
    network = TinyDenoiser()
    network.train()
    network.last.eval()
    before = modes(network)
    assert len(set(before.values())) == 2
    with evaluation_mode(network) as inside:
        assert inside is network
        assert not any(modes(network).values())
    assert modes(network) == before


def test_modes_come_back_after_an_error():
    network = TinyDenoiser().train()
    with pytest.raises(RuntimeError, match="inside"), evaluation_mode(network):
        raise RuntimeError("inside")
    assert all(modes(network).values())


def test_there_is_no_dropout_inside():
    network = TinyDenoiser(dropout=0.9).train()
    noisy, t = torch.ones(1, 4, 4, 4), torch.tensor([5.0])
    assert not torch.equal(network(noisy, t), network(noisy, t))
    with evaluation_mode(network):
        assert torch.equal(network(noisy, t), network(noisy, t))


def test_a_network_with_the_right_signature_is_a_denoiser():
    assert isinstance(TinyDenoiser(), Denoiser)
