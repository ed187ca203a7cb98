"""Reading visitors' pictures, and squeezing them through a tiny random VAE."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from demos.latent.reconstruct import (
    _held_out_rows,
    draw_real_critters,
    read_drawing,
    reconstruct,
)
from demos.latent.show_reconstruct import show_numbers, show_whiskers
from shared.critters.attributes import VALUES, sample_attributes
from shared.errors import InvalidRequest
from shared.nets import VAE, kl_divergence


def test_reconstruction_measures_its_own_error(vae: VAE) -> None:
    result = reconstruct(vae, Image.new("RGB", (90, 70), "orange"))
    before, after = (np.asarray(image) / 255 for image in (result.original, result.picture))

    assert result.original.size == result.picture.size == (64, 64)
    assert result.mu.shape == result.logvar.shape == (64,)
    assert result.closeness.l1 == pytest.approx(np.abs(after - before).mean(), abs=0.01)
    psnr = -10 * np.log10(((after - before) ** 2).mean())
    assert result.closeness.psnr_db == pytest.approx(psnr, abs=0.2)


def test_what_each_number_says_adds_up_to_the_divergence(vae: VAE) -> None:
    result = reconstruct(vae, Image.new("RGB", (64, 64), "orange"))
    mu, logvar = torch.tensor(result.mu)[None], torch.tensor(result.logvar)[None]

    assert result.kl.sum() == pytest.approx(float(kl_divergence(mu, logvar)), rel=1e-4)
    assert (result.kl >= -1e-6).all()
    np.testing.assert_allclose(result.sigma**2, np.exp(result.logvar), rtol=1e-5)


def test_the_chart_has_a_bar_a_whisker_and_a_tooltip_for_each_number(vae: VAE) -> None:
    chart = show_numbers(reconstruct(vae, Image.new("RGB", (64, 64), "orange")))
    assert chart.count("<title>") == 64

    # 0 is in the middle of 72 units, 3 is at its edge less 2.
    chart = show_whiskers([1.5, -9.0], [0.3, 1.0], [1.0, 0.0])
    assert 'y="19.0" width="4" height="17.0"' in chart
    assert 'y1="15.6" y2="22.4"' in chart
    assert 'y="36.0" width="4" height="34.0"' in chart, "what is far off ends at the edge"
    assert chart.count('class="quiet"') == 1


def url_of(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_a_drawing_is_read() -> None:
    drawing = Image.new("RGB", (32, 32), "white")
    drawing.putpixel((3, 4), (59, 130, 246))

    assert read_drawing(url_of(drawing)).tobytes() == drawing.tobytes()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (url_of(Image.new("RGB", (32, 32), "white")), "one colour only"),
        ("", "cannot be read"),
        ("https://example.org/a.png", "cannot be read"),
        ("file:///etc/passwd", "cannot be read"),
        ("data:image/png;base64,????", "cannot be read"),
        ("data:image/png;base64,é", "cannot be read"),
        ("data:image/png;base64,aGVsbG8=", "cannot be read"),
        ("data:image/png;base64," + "A" * 3_000_000, "cannot be read"),
    ],
)
def test_what_is_no_drawing_is_refused(url: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_drawing(url)


def test_real_critters_are_ones_that_no_model_was_trained_on() -> None:
    trained = sample_attributes(50_000, seed=0)
    seen = set(zip(*(trained[name].tolist() for name in VALUES), strict=True))
    rows = _held_out_rows()

    assert 9_000 < len(rows) < 10_000, "a few are drawn twice by chance, and left out"
    assert not seen & {tuple(row) for row in rows.tolist()}


def test_real_critters_differ_and_come_again_with_their_seed() -> None:
    first, again, others = (draw_real_critters(seed, 12) for seed in (1, 1, 2))

    assert len({picture.tobytes() for picture, _ in first}) == 12
    assert first == again
    assert first != others
    assert all(picture.size == (64, 64) for picture, _ in first)
