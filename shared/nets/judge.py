"""A classifier that reads the attributes of a picture off it: what drawn pictures are judged by."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from shared.nets.generator import PretrainedModule, use_channels_last


@dataclass(frozen=True)
class JudgeConfig:
    """Size of the classifier, and what it knows.

    Attributes:
        values: Attribute -> the words that its answers stand for, in this order.
        channels: Feature channels at 32, 16, 8 and 4 pixels a side.
        features: Numbers that it sums a picture up in.
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
        wide, stride = 12, 1
        for narrow in config.channels:
            stages += [
                nn.Conv2d(wide, narrow, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
                nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
            ]
            wide, stride = narrow, 2
        self.body = nn.Sequential(
            *stages, nn.Flatten(), nn.Linear(wide * 4 * 4, config.features), nn.ReLU()
        )
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.features, len(words)) for name, words in config.values.items()}
        )
        use_channels_last(self)

    def stages(self) -> list[nn.Sequential]:
        """The convolutions of each size, 32 to 4 pixels a side, to be run one after the other."""
        layers = list(self.body)[1:]
        stages = [layers[start : start + 6] for start in range(0, 24, 6)]
        return [
            nn.Sequential(self.body[0], *stages[0]),
            *(nn.Sequential(*stage) for stage in stages[1:]),
        ]

    def extract_features(self, images: Tensor) -> Tensor:
        """What it sees before it decides: (B, 3, 64, 64) in [-1, 1] to (B, features)."""
        return self.body(images.contiguous(memory_format=torch.channels_last))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits per attribute, (B, number of its values) each."""
        features = self.extract_features(images)
        return {name: head(features) for name, head in self.heads.items()}


@torch.inference_mode()
def judge(model: Judge, images: Tensor, batch: int = 250) -> tuple[Tensor, dict[str, Tensor]]:
    """Features (N, D) and the likeliest value of each attribute (N,) of images in [-1, 1]."""
    device = next(model.parameters()).device
    features, answers = [], []
    for part in images.split(batch):
        seen = model.extract_features(part.to(device))
        features.append(seen.cpu())
        answers.append({name: head(seen).argmax(1).cpu() for name, head in model.heads.items()})
    return torch.cat(features), {
        name: torch.cat([answer[name] for answer in answers]) for name in model.heads
    }
