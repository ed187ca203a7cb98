from pathlib import Path

import pytest
import torch

from shared.nets import (
    VAE,
    Discriminator,
    Generator,
    GeneratorConfig,
    Judge,
    JudgeConfig,
    ProjectedDiscriminator,
    VAEConfig,
    kl_divergence,
    reparameterize,
)
from shared.nets.gan import discriminator_loss, generator_loss, r1_penalty

TINY = GeneratorConfig(z_dim=8, channels=(16, 16, 8, 8, 8))


def tiny_vae(seed: int = 0) -> VAE:
    torch.manual_seed(seed)
    return VAE(VAEConfig(TINY.z_dim, TINY.channels, encoder_channels=(8, 8, 16, 16))).eval()


def draw_z(count: int, z_dim: int = 8) -> torch.Tensor:
    return torch.randn(count, z_dim, generator=torch.Generator().manual_seed(0))


def test_vae_and_gan_draw_with_networks_of_equal_size() -> None:
    decoder, generator = VAE(VAEConfig()).decoder, Generator(GeneratorConfig())
    assert {name: value.shape for name, value in decoder.state_dict().items()} == {
        name: value.shape for name, value in generator.state_dict().items()
    }
    assert sum(value.numel() for value in generator.parameters()) < 1_200_000


def test_generator_draws_pictures_in_range() -> None:
    with torch.inference_mode():
        images = Generator(GeneratorConfig())(3 * draw_z(2, 64))
    assert images.shape == (2, 3, 64, 64)
    assert images.abs().max() <= 1


def test_a_picture_depends_on_its_own_z_only() -> None:
    generator, z = Generator(TINY).eval(), draw_z(3)
    torch.testing.assert_close(generator(z)[1:2], generator(z[1:2]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(64,), (1, 7), (1, 8, 1)])
def test_generator_names_the_shape_it_wants(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"z must be \(batch, 8\)"):
        Generator(TINY)(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 1, 64, 64), (3, 64, 64)])
def test_encode_names_the_shape_it_wants(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images must be \(batch, 3, 64, 64\)"):
        tiny_vae().encode(torch.zeros(shape))


def test_vae_gives_back_a_picture_and_its_gaussian() -> None:
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    drawn, mu, logvar = tiny_vae()(images, torch.Generator().manual_seed(1))
    assert drawn.shape == images.shape
    assert mu.shape == logvar.shape == (2, 8)


def test_kl_divergence_matches_torch() -> None:
    mu, logvar = draw_z(4), 0.3 * draw_z(4).flip(0)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(mu, (0.5 * logvar).exp()), normal(torch.zeros_like(mu), torch.ones_like(mu))
    ).sum(dim=1)
    torch.testing.assert_close(kl_divergence(mu, logvar), expected)
    assert kl_divergence(torch.zeros(1, 8), torch.zeros(1, 8)).item() == 0


def test_reparameterize_samples_the_gaussian_and_repeats_with_its_seed() -> None:
    mu, logvar = torch.full((20_000, 1), 2.0), torch.full((20_000, 1), 2 * 0.5).log()
    first = reparameterize(mu, logvar, torch.Generator().manual_seed(3))
    assert torch.equal(first, reparameterize(mu, logvar, torch.Generator().manual_seed(3)))
    assert first.mean().item() == pytest.approx(2.0, abs=0.03)
    assert first.var().item() == pytest.approx(1.0, abs=0.05)


def test_saved_weights_are_half_size_and_load_as_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a local folder must not need the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    vae = tiny_vae()
    (tmp_path / "README.md").write_text("a card")
    vae.save_pretrained(tmp_path)
    loaded = VAE.from_pretrained(tmp_path)

    parameters = sum(value.numel() for value in vae.parameters())
    assert (tmp_path / "model.safetensors").stat().st_size < 2 * parameters + 20_000
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    assert loaded.config == vae.config
    assert not loaded.training
    with torch.inference_mode():
        torch.testing.assert_close(
            loaded.decode(draw_z(2)), vae.decode(draw_z(2)), atol=0.01, rtol=0
        )


def test_loading_incomplete_weights_fails(tmp_path: Path) -> None:
    generator = Generator(TINY)
    (tmp_path / "README.md").write_text("a card")
    generator.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"z_dim": 8, "channels": [16, 16, 16, 8, 8, 8]}')
    with pytest.raises(RuntimeError, match="Missing key"):
        Generator.from_pretrained(tmp_path)


def test_a_projected_discriminator_teaches_without_changing_its_eyes() -> None:
    eyes = Judge(JudgeConfig({"color": ("red", "blue")}, channels=(8, 8, 8, 8)))
    before = {name: value.clone() for name, value in eyes.state_dict().items()}
    generator, discriminator = Generator(TINY), ProjectedDiscriminator(eyes).train()
    optimizer = torch.optim.Adam(discriminator.parameters())
    scores = discriminator(generator(draw_z(3)))
    assert scores.shape == (3, 4)
    generator_loss(scores).backward()
    optimizer.step()
    assert generator.stem.weight.grad is not None
    assert generator.stem.weight.grad.abs().sum() > 0
    for name, value in eyes.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(value.grad is not None for value in discriminator.heads.parameters())


def test_discriminator_scores_each_picture_and_teaches_the_generator() -> None:
    generator, discriminator = Generator(TINY), Discriminator((8, 8, 16, 16))
    scores = discriminator(generator(draw_z(3)))
    assert scores.shape == (3, 1)
    generator_loss(scores).backward()
    assert all(value.grad is not None for value in generator.parameters())


def test_discriminator_and_generator_want_opposite_scores() -> None:
    high, low = torch.tensor([[3.0], [4.0]]), torch.tensor([[-3.0], [-4.0]])
    assert discriminator_loss(real=high, fake=low) < 0.1 < discriminator_loss(real=low, fake=high)
    assert generator_loss(high) < 0.1 < generator_loss(low)


def test_the_penalty_is_the_squared_slope_around_real_pictures() -> None:
    slope = torch.nn.Linear(12, 1, bias=False)
    real = torch.zeros(5, 3, 2, 2)
    penalty = r1_penalty(torch.nn.Sequential(torch.nn.Flatten(), slope), real)
    assert penalty.item() == pytest.approx(slope.weight.square().sum().item())
    penalty.backward()
    assert slope.weight.grad is not None, "the discriminator learns from it"
    assert not real.requires_grad
