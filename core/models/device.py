"""The device that networks are called on, one answer for everything that loads them."""

import torch


def accelerator() -> torch.device:
    """What torch finds beside the processor and a training takes: a GPU, of whatever maker; else the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if found is None else found
