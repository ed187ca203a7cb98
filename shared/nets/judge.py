"""A classifier of a picture's attributes, for evaluating generated pictures."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from shared.nets.generator import PretrainedModule, use_channels_last


@dataclass(frozen=True)
class JudgeConfig:
    """Size and classes of the classifier.

    Attributes:
        values: Class names of each attribute, in the order of the logits.
        channels: Feature channels at 32, 16, 8 and 4 pixels a side.
        features: Dimensions of the feature vector.
    """

    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    channels: tuple[int, ...] = (32, 64, 96, 128)
    features: int = 128

    def __post_init__(self) -> None:
        # JSON has no tuples.
        values = {name: tuple(words) for name, words in self.values.items()}
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "channels", tuple(self.channels))


class Judge(PretrainedModule):
    """A convolutional network with one output per attribute."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.config = config
        stages: list[nn.Module] = [nn.PixelUnshuffle(2)]
        in_channels, stride = 12, 1
        for out_channels in config.channels:
            stages += [
                nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
                nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]
            in_channels, stride = out_channels, 2
        self.body = nn.Sequential(
            *stages, nn.Flatten(), nn.Linear(in_channels * 4 * 4, config.features), nn.ReLU()
        )
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.features, len(words)) for name, words in config.values.items()}
        )
        use_channels_last(self)

    def stages(self) -> list[nn.Sequential]:
        """Return the layers of each size, 32 to 4 pixels a side, to be applied in sequence."""
        layers = list(self.body)[1:]
        stages = [layers[start : start + 6] for start in range(0, 24, 6)]
        return [
            nn.Sequential(self.body[0], *stages[0]),
            *(nn.Sequential(*stage) for stage in stages[1:]),
        ]

    def extract_features(self, images: Tensor) -> Tensor:
        """Return features (B, D) of images (B, 3, 64, 64) in [-1, 1]."""
        return self.body(images.contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the logits of each attribute, (B, number of its values)."""
        features = self.extract_features(images)
        return {name: head(features) for name, head in self.heads.items()}


@torch.inference_mode()
def judge(model: Judge, images: Tensor, batch: int = 250) -> tuple[Tensor, dict[str, Tensor]]:
    """Return features (N, D) and each attribute's likeliest class (N,) of images in [-1, 1]."""
    device = next(model.parameters()).device
    features, predictions = [], []
    for part in images.split(batch):
        hidden = model.extract_features(part.to(device))
        features.append(hidden.cpu())
        predictions.append(
            {name: head(hidden).argmax(1).cpu() for name, head in model.heads.items()}
        )
    return torch.cat(features), {
        name: torch.cat([prediction[name] for prediction in predictions]) for name in model.heads
    }
