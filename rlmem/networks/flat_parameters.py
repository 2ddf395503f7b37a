"""All parameters of a network in one tensor, so that zeroing, clipping and an optimizer's step are a kernel each."""

from __future__ import annotations

import torch
from torch import nn


class FlatParameters:
    """One tensor of which all trainable parameters of a module, and their gradients, are views.

    Make it after the module is on its device: moving the module afterwards would cut the views.

    Args:
        module: A network whose trainable parameters have one type and device.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.parameters = parameters
        self.flat = nn.Parameter(torch.cat([parameter.detach().reshape(-1) for parameter in parameters]))
        self.grad = torch.zeros_like(self.flat.data)
        self.flat.grad = self.grad
        at = 0
        for parameter in parameters:
            end = at + parameter.numel()
            parameter.data = self.flat.data[at:end].view(parameter.shape)
            parameter.grad = self.grad[at:end].view(parameter.shape)
            at = end

    def zero_grad(self) -> None:
        """Set all gradients to 0, in place."""
        self.grad.zero_()

    def clip_grad_norm(self, max_norm: float) -> float:
        """Scale the gradient down to ``max_norm`` if it is longer; return the norm it had."""
        length: float = torch.linalg.vector_norm(self.grad).item()
        if length > max_norm:
            self.grad.mul_(max_norm / length)
        return length
