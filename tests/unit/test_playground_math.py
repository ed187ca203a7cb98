"""What the playground computes in the browser, against torch and against what must hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, sync_playwright
from torch import Tensor
from torch.nn import functional as F

from shared.settings import ROOT
from tests.conftest import CHROMIUM_FLAGS

MODULES = ROOT / "demos" / "latent" / "browser"
ADDRESS = "http://playground.localhost/"


@pytest.fixture(scope="module")
def page(chromium: str) -> Iterator[Page]:
    """A blank page that can import the playground's modules; nothing serves it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page()
        page.route(
            f"{ADDRESS}**",
            lambda route: (
                route.fulfill(
                    body=(MODULES / name).read_bytes(),
                    content_type="text/javascript; charset=utf-8",
                )
                if (name := route.request.url.removeprefix(ADDRESS))
                else route.fulfill(body="", content_type="text/html")
            ),
        )
        page.goto(ADDRESS)
        yield page
        browser.close()


def run(page: Page, module: str, body: str, **values: Any) -> Any:
    """Run ``body`` in the page with the exports of ``module`` as ``m`` and ``values`` as ``v``."""
    return page.evaluate(
        f"async ([module, v]) => {{ const m = await import(module); {body} }}",
        [f"./{module}", values],
    )


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def matrix(x: Tensor) -> dict[str, Any]:
    return {"data": x.flatten().tolist(), "rows": x.shape[0], "cols": x.shape[1]}


def close(found: list[float], expected: Tensor) -> None:
    np.testing.assert_allclose(found, expected.detach().flatten().numpy(), rtol=1e-4, atol=1e-4)


# Expressions of a 5 x 3 and b 3 x 3, in both languages.
EXPRESSIONS = {
    "matmul": ("m.matmul(a, b)", lambda a, b: a @ b),
    "flipped": ("m.matmul(a, a, true, false)", lambda a, b: a.T @ a),
    "flipped right": ("m.matmul(b, a, false, true)", lambda a, b: b @ a.T),
    "flipped both": ("m.matmul(a, b, true, true)", None),
    "row": ("m.multiplyEach(a, m.sumTo(b, 1, 3))", lambda a, b: a * b.sum(0)),
    "column": ("m.add(m.square(a), m.sumTo(a, 5, 1))", lambda a, b: a**2 + a.sum(1, True)),
    "subtract": ("m.subtract(m.square(a), m.mean(b))", lambda a, b: a**2 - b.mean()),
    "power": ("m.power(m.shift(m.square(a), 1), 0.5)", lambda a, b: (a**2 + 1) ** 0.5),
    "exp": ("m.exp(a)", lambda a, b: a.exp()),
    "tanh": ("m.tanh(a)", lambda a, b: a.tanh()),
    "sigmoid": ("m.sigmoid(a)", lambda a, b: a.sigmoid()),
    "softplus": ("m.softplus(a)", lambda a, b: F.softplus(a)),
    "leaky": ("m.square(m.leakyRelu(a))", lambda a, b: F.leaky_relu(a, 0.2) ** 2),
}
DOUBLE = """
  const a = m.variable(Float32Array.from(v.a.data), v.a.rows, v.a.cols);
  const b = m.variable(Float32Array.from(v.b.data), v.b.rows, v.b.cols);
  const sum = (x) => m.sumTo(x, 1, 1);
  const out = EXPRESSION;
  const first = m.gradients(sum(m.square(out)), [a, b], { again: true });
  const slope = m.add(sum(m.square(first[0])), sum(m.square(first[1])));
  const second = m.gradients(slope, [a, b]);
  return [out, ...first, ...second].map((x) => [...x.data]);
"""


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_values_gradients_and_gradients_of_gradients_are_those_of_torch(
    page: Page, name: str
) -> None:
    expression, of = EXPRESSIONS[name]
    shapes = ((3, 5), (5, 3)) if of is None else ((5, 3), (3, 3))
    a, b = (random(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes))
    found = run(
        page, "autograd.js", DOUBLE.replace("EXPRESSION", expression), a=matrix(a), b=matrix(b)
    )
    out = a.T @ b.T if of is None else of(a, b)
    first = torch.autograd.grad((out**2).sum(), [a, b], create_graph=True, materialize_grads=True)
    slope = sum((x**2).sum() for x in first)
    second = torch.autograd.grad(slope, [a, b], materialize_grads=True)  # type: ignore[arg-type]
    for ours, theirs in zip(found, [out, *first, *second], strict=True):
        close(ours, theirs)


def forward(parameters: list[Tensor], x: Tensor) -> Tensor:
    for i in range(0, len(parameters), 2):
        x = x @ parameters[i] + parameters[i + 1]
        x = F.leaky_relu(x, 0.2) if i + 2 < len(parameters) else x
    return x


def make_network(widths: list[int], seed: int) -> list[Tensor]:
    return [
        random(*shape, seed=seed + i + j).requires_grad_()
        for i in range(len(widths) - 1)
        for j, shape in enumerate([(widths[i], widths[i + 1]), (1, widths[i + 1])])
    ]


PENALTY = """
  const ag = await import("./autograd.js");
  const { discriminator } = new m.Gan(2, 1);
  discriminator.parameters = v.parameters.map(
    (p) => ag.variable(Float32Array.from(p.data), p.rows, p.cols));
  const at = ag.variable(Float32Array.from(v.points.data), v.points.rows, v.points.cols);
  const scores = discriminator.forward(at);
  const [slopes] = ag.gradients(ag.sumTo(scores, 1, 1), [at], { again: true });
  const penalty = m.slopePenalty(v.loss, slopes);
  const found = ag.gradients(penalty, discriminator.parameters);
  return [penalty, ...found].map((x) => [...x.data]);
"""


@pytest.mark.parametrize("loss", ["wasserstein", "hinge"])
def test_the_gradient_penalty_trains_the_discriminator_as_in_torch(page: Page, loss: str) -> None:
    parameters = make_network([2, 16, 16, 1], seed=3)
    points = random(9, 2).requires_grad_()
    found = run(
        page,
        "toy-models.js",
        PENALTY,
        parameters=[matrix(p) for p in parameters],
        points=matrix(points),
        loss=loss,
    )
    (slopes,) = torch.autograd.grad(forward(parameters, points).sum(), points, create_graph=True)
    lengths = slopes.norm(dim=1)
    penalty = ((lengths - 1) ** 2).mean() if loss == "wasserstein" else (lengths**2).mean() / 2
    gradients = torch.autograd.grad(penalty, parameters, materialize_grads=True)
    for ours, theirs in zip(found, [penalty, *gradients], strict=True):
        np.testing.assert_allclose(
            ours, theirs.detach().flatten().numpy(), rtol=1e-4, atol=1e-4 * float(penalty.detach())
        )


@pytest.mark.parametrize("loss", ["nonsaturating", "wasserstein"])
def test_the_penalty_holds_the_slopes_in_check_while_it_trains(page: Page, loss: str) -> None:
    free, held = run(
        page,
        "training.js",
        """const { GOOD } = await import("./presets.js");
        const steepest = (penalty) => {
          const trainer = new m.Trainer({ ...GOOD, loss: v.loss, penalty });
          for (let i = 0; i < 60; i++) trainer.stepPart("discriminator");
          const { arrows } = trainer.view(false);
          let most = 0;
          for (let i = 0; i < arrows.length; i += 2)
            most = Math.max(most, Math.hypot(arrows[i], arrows[i + 1]));
          return most;
        };
        return [steepest(0), steepest(2)];""",
        loss=loss,
    )
    assert held < free / 2


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.99)])
def test_adam_walks_as_torch_does(page: Page, betas: tuple[float, float]) -> None:
    start = random(4, 3)
    found = run(
        page,
        "toy-models.js",
        """const ag = await import("./autograd.js");
        const x = ag.variable(Float32Array.from(v.start.data), 4, 3);
        const adam = new m.Adam([x], ...v.betas);
        for (let i = 0; i < 20; i++) adam.descend(ag.mean(ag.square(ag.shift(x, 1))), 0.05);
        return [...x.data];""",
        start=matrix(start),
        betas=betas,
    )
    x = start.clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=0.05, betas=betas)
    for _ in range(20):
        adam.zero_grad()
        ((x + 1) ** 2).mean().backward()
        adam.step()
    close(found, x)


def test_losses_and_kl_are_those_of_torch(page: Page) -> None:
    real, fake = random(7, 1), random(7, 1, seed=1)
    found = run(
        page,
        "toy-models.js",
        """const ag = await import("./autograd.js");
        const [real, fake] = [v.real, v.fake].map((x) => ag.constant(x.data, x.rows, x.cols));
        return ["nonsaturating", "hinge", "wasserstein"].flatMap((kind) =>
          [m.discriminatorLoss(kind, real, fake).value, m.generatorLoss(kind, fake).value]
        ).concat([...m.klEach(real, fake).data]);""",
        real=matrix(real),
        fake=matrix(fake),
    )
    ones, zeros = torch.ones(7, 1), torch.zeros(7, 1)
    bce = F.binary_cross_entropy_with_logits
    expected = [
        bce(real, ones) + bce(fake, zeros),
        bce(fake, ones),
        F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        -fake.mean(),
        fake.mean() - real.mean(),
        -fake.mean(),
    ]
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(real, (fake / 2).exp()), normal(0, 1))
    close(found, torch.cat([torch.stack(expected), kl.flatten()]))


def test_a_seed_repeats_a_run_and_looking_at_it_changes_nothing(page: Page) -> None:
    first, again, other = run(
        page,
        "training.js",
        """const { GOOD } = await import("./presets.js");
        const losses = (seed, look) => {
          const trainer = new m.Trainer({ ...GOOD, seed });
          for (let i = 0; i < 20; i++) { trainer.step(); if (look) trainer.view(true); }
          return [trainer.last.vae.loss, trainer.last.generator, trainer.last.discriminator];
        };
        return [losses(1, false), losses(1, true), losses(2, false)];""",
    )
    assert first == again
    assert first != other


def test_random_numbers_are_normal(page: Page) -> None:
    numbers = run(page, "random.js", "return [...new m.Random(5).normals(20000)];")
    assert np.mean(numbers) == pytest.approx(0, abs=0.03)
    assert np.std(numbers) == pytest.approx(1, abs=0.03)
    assert np.mean(np.abs(numbers) < 1) == pytest.approx(0.683, abs=0.02)


def test_shapes_lie_in_the_square_and_heaps_are_reached_by_their_own_points(page: Page) -> None:
    shapes = run(
        page,
        "distributions.js",
        """const { Random } = await import("./random.js");
        const { compare } = await import("./measures.js");
        return Object.values(m.DISTRIBUTIONS).map((shape) => {
          const [one, other] = [1, 2].map((seed) => m.drawPoints(shape, 400, new Random(seed)));
          return { far: Math.max(...one.map(Math.abs)), match: compare(one, other, shape.heaps) };
        });""",
    )
    for shape in shapes:
        assert shape["far"] < 1
        assert shape["match"]["reached"] == shape["match"]["heaps"]
        assert shape["match"]["near"] > 0.98
        assert shape["match"]["covered"] > 0.98


def test_points_in_one_heap_or_between_heaps_are_told(page: Page) -> None:
    body = """const { compare } = await import("./measures.js");
      const { heaps } = m.DISTRIBUTIONS.grid3;
      const real = new Float32Array(heaps.flat());
      return compare(Float32Array.from(v.points), real, heaps);"""
    one = run(page, "distributions.js", body, points=[0.75, 0.75] * 90)
    assert (one["reached"], one["near"], one["covered"]) == (1, 1, pytest.approx(1 / 9))
    between = run(page, "distributions.js", body, points=[0.4, 0.4] * 90)
    assert (between["reached"], between["near"], between["covered"]) == (0, 0, 0)


def test_points_of_a_painting_lie_where_paint_is_and_no_paint_is_told(page: Page) -> None:
    empty, points = run(
        page,
        "distributions.js",
        """const { Random } = await import("./random.js");
        const paint = new Float32Array(m.CELLS ** 2);
        const empty = m.painted(paint);
        paint[3] = 1; // in the top row, the fourth cell
        return [empty, [...m.drawPoints(m.painted(paint), 200, new Random(1))]];""",
    )
    assert empty is None
    x, y = np.array(points).reshape(-1, 2).T
    assert x.min() >= -1 + 3 * 0.05 - 1e-6
    assert x.max() <= -1 + 4 * 0.05 + 1e-6
    assert y.min() >= 0.95 - 1e-6


@pytest.mark.parametrize("part", ["vae", "gan"])
def test_a_loss_beyond_bounds_is_told_and_its_networks_are_fresh(page: Page, part: str) -> None:
    found = run(
        page,
        "training.js",
        """const { GOOD } = await import("./presets.js");
        const rates = { rateVae: 10, rateGenerator: 10, rateDiscriminator: 10 };
        const trainer = new m.Trainer({ ...GOOD, ...rates });
        let told = null;
        try {
          for (let i = 0; i < 200; i++) {
            if (v.part === "vae") trainer.stepPart("vae");
            else { trainer.stepPart("discriminator"); trainer.stepPart("generator"); }
          }
        } catch (error) { told = [error instanceof m.Diverged, error.part]; }
        trainer.settings = GOOD;
        for (let i = 0; i < 5; i++) trainer.step();
        const last = [trainer.last.vae.loss, trainer.last.generator, trainer.last.discriminator];
        return [told, last.every(Number.isFinite), trainer.vae.steps, trainer.gan.steps.generator];
        """,
        part=part,
    )
    told, finite, vae_steps, gan_steps = found
    assert told[0]
    assert (told[1] == "vae") == (part == "vae")
    assert finite
    assert (vae_steps, gan_steps) == (5, 5)


def test_three_hundred_steps_bring_points_to_where_real_ones_are(page: Page) -> None:
    before, after = run(
        page,
        "training.js",
        """const { GOOD } = await import("./presets.js");
        const trainer = new m.Trainer(GOOD);
        trainer.setData("ring");
        const look = () => trainer.view(true).figures;
        const before = look();
        for (let i = 0; i < 300; i++) trainer.step();
        return [before, look()];""",
    )
    for model in ("vae", "gan"):
        assert after[model]["near"] > before[model]["near"] + 0.2
        assert after[model]["covered"] > 0.8
