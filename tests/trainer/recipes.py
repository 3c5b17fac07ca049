"""The recipes by which the golden files fill weights and inputs."""

import math
import zlib

import numpy as np
import torch
from torch import Tensor, nn


def fill_by_name(model: nn.Module) -> nn.Module:
    """Fill weights and buffers by the recipe of forward_golden.json; the model becomes float64."""
    filled = {}
    for name, tensor in model.state_dict().items():
        rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
        z = rng.standard_normal(tensor.numel()).reshape(tuple(tensor.shape))
        match name.rsplit(".", 1)[-1]:
            case "num_batches_tracked":
                filled[name] = torch.zeros_like(tensor)
                continue
            case "running_mean" | "bias":
                values = 0.1 * z
            case "running_var":
                values = 1 + 0.1 * abs(z)
            case _ if tensor.ndim >= 2:
                values = z * math.sqrt(2 / math.prod(tensor.shape[1:]))
            case _:
                values = 1 + 0.1 * z
        filled[name] = torch.from_numpy(np.asarray(values)).float()
    model.load_state_dict(filled)
    return model.double()


def golden_input(image_size: int) -> Tensor:
    """float64 [4, 3, S, S], representable in float32."""
    return normal(1234, (4, 3, image_size, image_size))


def normal(seed: int, shape: tuple[int, ...]) -> Tensor:
    rng = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32)).double()
