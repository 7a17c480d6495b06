"""cyconv under PyTorch: functions, modules, and models whose convolutions and pools cyconv computes.

>>> import torch, cyconv.torch
>>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
>>> model = cyconv.torch.accelerate(model.to(memory_format=torch.channels_last))
>>> model(torch.ones(4, 3, 32, 32).to(memory_format=torch.channels_last)).shape
torch.Size([4, 8, 16, 16])
"""

try:
    import torch  # noqa: F401
except ImportError as missing:
    raise ImportError("cyconv.torch needs PyTorch: pip install 'cyconv[torch]'") from missing

from cyconv.torch.functional import avg_pool2d, conv2d, conv_transpose2d, max_pool2d
from cyconv.torch.modules import AvgPool2d, Conv2d, ConvTranspose2d, MaxPool2d, accelerate, restore

__all__ = [
    "AvgPool2d",
    "Conv2d",
    "ConvTranspose2d",
    "MaxPool2d",
    "accelerate",
    "avg_pool2d",
    "conv2d",
    "conv_transpose2d",
    "max_pool2d",
    "restore",
]
