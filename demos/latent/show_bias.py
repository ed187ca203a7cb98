"""HTML of the skew of the data and of the models. No Gradio and no torch here."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from demos.latent.bias import STRENGTHS, JudgedPicture
from demos.latent.show_compare import as_share
from shared.data_urls import to_data_url

SETS = {
    "data": "Training set",
    "vae": "VAE",
    "gan": "GAN",
    "fair_vae": "VAE, fair set",
    "fair_gan": "GAN, fair set",
}


def encode_small(image: Image.Image) -> str:
    """Encode as a WebP data URL, a quarter of a PNG's size, since the page has dozens."""
    return to_data_url(image, "WEBP", quality=85, method=6)


def wilson(hits: int, count: int, *, normal: float = 1.96) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share, from ``hits`` of ``count``.

    The score interval of Wilson (1927), which unlike the normal one stays within 0 and 1.
    """
    if not count:
        return 0.0, 1.0
    share, weight = hits / count, normal**2 / count
    centre = (share + weight / 2) / (1 + weight)
    reach = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def show_skew(skew: Mapping[str, Any]) -> str:
    """Show the share that smiles, of red critters and of all others."""
    counts, value = skew["counts"], skew["cause"][1]
    groups = {
        f"Of {value} critters": lambda name: name == value,
        "Of all others": lambda name: name != value,
    }
    parts = []
    for title, belongs in groups.items():
        rows = []
        for name, label in SETS.items():
            if name not in counts:
                continue
            pairs = [pair for color, pair in counts[name].items() if belongs(color)]
            rows.append(
                _show_share(name, label, *(sum(column) for column in zip(*pairs, strict=True)))
            )
        parts.append(f"<section><h4>{title}, this share smiles</h4>{''.join(rows)}</section>")
    return f'<div class="skew">{"".join(parts)}</div>'


def _show_share(name: str, label: str, count: int, hits: int) -> str:
    share = hits / max(1, count)
    low, high = wilson(hits, count)
    note = f"{hits:,} of {count:,}; 95 times in 100 between {low:.1%} and {high:.1%}"
    return (
        f'<div class="skew-row {name}" title="{note}"><span>{label}</span>'
        f'<div class="skew-track" style="--share: {share:.4f}; --low: {low:.4f}; '
        f'--high: {high:.4f}"><i></i><u></u></div>'
        f"<b>{as_share(share)}</b><small>{hits:,} of {count:,}</small></div>"
    )


def explain(skew: Mapping[str, Any]) -> str:
    """Return sentences about the figures."""
    value = skew["cause"][1]
    (data, _, _), _ = _compare(skew["counts"]["data"], value)
    sentences = [f"In the training set {data:.0%} of {value} critters smile."]
    for name, title in (("vae", "VAE"), ("gan", "GAN")):
        own, others = _compare(skew["counts"][name], value)
        share, low, high = own
        (fair, _, fair_high), (fair_others, _, _) = _compare(skew["counts"][f"fair_{name}"], value)
        if low <= fair_high:
            sentences.append(f"The {title} learned hardly anything of it: {share:.0%} smile.")
        elif low > data:
            sentences.append(f"The {title} exaggerates: {share:.0%} of its {value} critters smile.")
        elif high < data:
            sentences.append(
                f"The {title} passes on a part of it: {share:.0%} smile, against {fair:.0%} of its "
                "twin from the fair set."
            )
        else:
            sentences.append(f"The {title} passes it on as it was: {share:.0%} smile.")
        share, low, _ = others
        if low > 1.2 * fair_others:
            sentences.append(
                f"And it spreads the smile to the other colours: {share:.0%} smile, against "
                f"{fair_others:.0%} of its twin's."
            )
    return " ".join(sentences)


def _compare(
    counts: Mapping[str, Sequence[int]], value: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the share and its interval, of one colour and of all others."""
    groups = (
        [pair for color, pair in counts.items() if color == value],
        [pair for color, pair in counts.items() if color != value],
    )
    shares = []
    for pairs in groups:
        count, hits = (sum(column) for column in zip(*pairs, strict=True))
        shares.append((hits / max(1, count), *wilson(hits, count)))
    return shares[0], shares[1]


def show_colors(skew: Mapping[str, Any]) -> str:
    """Show the same for every colour, as a table."""
    counts = skew["counts"]
    names = [name for name in SETS if name in counts]
    heads = "".join(f'<th scope="col">{SETS[name]}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{color}</th>'
        + "".join(
            f"<td>{as_share(counts[name][color][1] / max(1, counts[name][color][0]))}</td>"
            for name in names
        )
        + "</tr>"
        for color in counts["data"]
    )
    return (
        '<div class="skew-colors"><table><thead><tr><th scope="col">Colour</th>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def show_judged_pictures(rows: Mapping[str, Sequence[JudgedPicture]]) -> str:
    """Show rows of red critters; those that smile are marked."""
    parts = []
    for name, found in rows.items():
        smiles = sum(one.smiles for one in found)
        pictures = "".join(
            f'<img class="{"smiles" if one.smiles else "other"}" src="{encode_small(one.picture)}" '
            f'alt="{one.color}, {one.mouth}" title="{one.color}, {one.mouth}">'
            for one in found
        )
        parts.append(
            f'<div class="reds"><p><b>{html.escape(name)}</b> · {smiles} of {len(found)} smile'
            f"</p><div>{pictures}</div></div>"
        )
    return "".join(parts)


def show_push(rows: Mapping[str, Sequence[JudgedPicture]]) -> str:
    """Show one picture of each model on its way to red, with the judge's answers."""
    parts = []
    for name, steps in rows.items():
        pictures = "".join(
            f'<figure class="{"smiles" if one.smiles else "other"}">'
            f'<img src="{encode_small(one.picture)}" alt="{one.color}, {one.mouth}">'
            f"<figcaption>+{strength:g}<br>{one.color}<br>{one.mouth}</figcaption></figure>"
            for strength, one in zip(STRENGTHS, steps, strict=True)
        )
        parts.append(
            f'<div class="reds"><p><b>{html.escape(name)}</b></p>'
            f'<div class="push">{pictures}</div></div>'
        )
    return "".join(parts)


def explain_push(skew: Mapping[str, Any]) -> str:
    """Return sentences about the push of a few hundred pictures."""
    sentences = []
    for name, title in (("vae", "VAE"), ("gan", "GAN")):
        pushed = skew.get("push", {}).get(name)
        if pushed:
            sentences.append(
                f"<b>{title}</b>: of {pushed['count']} pictures that were neither, the whole push "
                f"makes {pushed['cause'][-1]:.0%} {skew['cause'][1]}, "
                f"and {pushed['effect'][-1]:.0%} smile; "
                f"pushed as far towards other colours, {pushed['elsewhere'][-1]:.0%} do."
            )
    return " ".join(sentences)
