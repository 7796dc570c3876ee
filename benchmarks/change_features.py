"""Asks whether the network's features tell more about change than the pixels do, on cities with hand-drawn changes.

    python benchmarks/change_features.py [CITY...]

Two lattices of patches with a stride of 16 pixels are sent through the shipped network at both dates: whole patches (64
px) and quarters (32 px, doubled in size). Distances of their pooled features become one figure a tile. Every figure is
tried alone, beside the product's own magnitude (which was designed on these cities) and beside plain change vectors
(which were not), in a logistic fit on the OTHER cities: what a line says of a city was never fitted there. The last
line of each block also chooses the figure on the other cities alone.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
from change_oscd import CHANGED, ROOT, SHIFTS, City, auroc, tiles
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.linear_model import LogisticRegression

from pipeline.change import measure
from pipeline.grid import TileGrid
from pipeline.models.input import network_input
from pipeline.models.store import DEFAULT, load
from pipeline.tiling import blocks, fill_by_reflection, grid_for

STRIDE, LEAST = 16, 0.05
BASES = ("magnitude", "plain change vectors")


def picture(scene, bounds, classifier):
    """The scene as the network sees it (y, x, band), holes mirrored over."""
    card = classifier.card
    grid = grid_for(card, scene.epsg)
    parts = list(blocks(replace(scene, bounds=bounds), grid, card.input.bands))
    pixels, valid = (
        np.concatenate([part.pixels for part in parts], axis=1),
        np.concatenate([part.valid for part in parts]),
    )
    return fill_by_reflection(np.moveaxis(network_input(pixels, scene, card.input), 0, -1), valid)


def lattice(codes, size, classifier):
    """Pooled features (y, x, f) and probabilities of `size` pixel patches at every STRIDE; halves are doubled."""
    windows = sliding_window_view(codes, (size, size), axis=(0, 1))[::STRIDE, ::STRIDE]
    patches = np.moveaxis(windows, 2, -1).reshape(-1, size, size, codes.shape[2])
    patches = patches.repeat(64 // size, axis=1).repeat(64 // size, axis=2)
    probabilities, features = classifier.outputs(np.ascontiguousarray(patches))
    return features.reshape(*windows.shape[:2], -1), probabilities.reshape(*windows.shape[:2], -1)


def distances(one, two):
    """Pictures (y, x) of distance between two dates' outputs of one lattice."""
    (first, p), (second, q) = one, two
    cosine = 1 - (first * second).sum(-1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1)
    flat = [date.reshape(-1, date.shape[-1]) for date in (first, second)]
    middle, spread = ([getattr(np, name)(date, axis=0) for date in flat] for name in ("median", "std"))
    matched = ((first - middle[0]) / (spread[0] + 1e-2) - (second - middle[1]) / (spread[1] + 1e-2)).reshape(
        -1, first.shape[-1]
    )
    # Directions in which unchanged land differs between these dates count less: whitened by the pair's own differences.
    _, size, axes = np.linalg.svd(np.concatenate(flat) - np.concatenate(flat).mean(axis=0), full_matrices=False)
    turned = [(date - at) @ axes[:32].T for date, at in zip(flat, middle, strict=True)]
    apart = turned[1] - turned[0]
    white = apart / (
        1.4826 * np.median(np.abs(apart - np.median(apart, axis=0)), axis=0) + 1e-3 * size[0] / np.sqrt(len(apart))
    )
    mean = (p + q) / 2
    entropy = [-(part * np.log(np.maximum(part, 1e-6))).sum(-1) for part in (mean, p, q)]
    shape = first.shape[:2]
    return {
        "cosine": cosine,
        "matched": np.abs(matched).mean(axis=1).reshape(shape),
        "whitened": np.sqrt((white**2).mean(axis=1)).reshape(shape),
        "Jensen-Shannon": np.maximum(entropy[0] - (entropy[1] + entropy[2]) / 2, 0),
    }


def tile_figures(whole, quarters, shape, down, right):
    """One figure (n,) a tile of a shifted grid, by name; tiles in the order of `change_oscd.tiles`."""
    rows, columns = (shape[0] - down) // 64, (shape[1] - right) // 64
    y, x = (part.ravel() for part in np.mgrid[0:rows, 0:columns])
    top, left = (y * 64 + down) // STRIDE, (x * 64 + right) // STRIDE
    figures = {}
    for name, plane in whole.items():
        near = np.stack(
            [
                plane[np.clip(top + v, 0, plane.shape[0] - 1), np.clip(left + h, 0, plane.shape[1] - 1)]
                for v in (-1, 0, 1)
                for h in (-1, 0, 1)
            ]
        )
        figures |= {f"tile, {name}": plane[top, left], f"nine strided by 16, mean, {name}": near.mean(axis=0)}
    for name, plane in quarters.items():
        inside = np.stack([plane[top + v, left + h] for v in (0, 1, 2) for h in (0, 1, 2)])
        figures |= {f"nine quarters, {what}, {name}": getattr(inside, what)(axis=0) for what in ("mean", "max")}
    return figures


def rows(folder: Path, classifier) -> pd.DataFrame:
    """Every tile of every shifted grid of a city: changed, magnitude, all figures."""
    city = City.read(folder)
    grid = TileGrid(city.before.epsg)
    bounds = measure.common_bounds(city.before, city.after, grid)
    codes = [picture(scene, bounds, classifier) for scene in (city.before, city.after)]
    found = [distances(*(lattice(date, size, classifier) for date in codes)) for size in (64, 32)]
    parts = []
    pixels = zip(city.shifted(city.score), city.shifted(city.plain_cva), strict=True)
    for (down, right), ((share, magnitude), (_, plain)) in zip(SHIFTS, pixels, strict=True):
        kept = tiles(city.valid[down // 2 :, right // 2 :], 32).mean(axis=1) >= 0.5
        figures = pd.DataFrame(tile_figures(*found, codes[0].shape, down, right))[kept].reset_index(drop=True)
        parts.append(
            figures.assign(
                city=city.name,
                shift=f"{down} {right}",
                changed=share >= CHANGED,
                **{BASES[0]: magnitude, BASES[1]: plain},
            )
        )
    return pd.concat(parts, ignore_index=True)


def by_shift(part: pd.DataFrame, value) -> tuple[float, float]:
    """AUROC of the product's own grid, and its mean over the shifted ones."""
    scores = [auroc(one["changed"].to_numpy(), value[one.index]) for _, one in part.groupby("shift", sort=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return scores[0], float(np.nanmean(scores))


def fitted(table: pd.DataFrame, names: list[str], city: str, only: tuple[str, ...] | None = None) -> pd.Series:
    """The logistic score of a city's tiles, fitted on the other cities."""
    value = np.log(table[names] + LEAST)
    learn = (table["city"] != city) if only is None else table["city"].isin(only)
    scale = value[learn].std()
    model = LogisticRegression(C=10).fit(
        value[learn] / scale, table.loc[learn, "changed"], sample_weight=np.full(learn.sum(), 1 / len(SHIFTS))
    )
    return pd.Series(model.decision_function(value / scale), index=table.index)[table["city"] == city]


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", default=DEFAULT, show_default=True)
def main(folders: tuple[Path, ...], model: str) -> None:
    found = folders or tuple(
        sorted(path.parent for path in (ROOT.parent / "shared" / "data" / "scenes" / "oscd").glob("*/change_mask.tif"))
    )
    classifier = load(model, engine="openvino", threads=1)
    table = pd.concat([rows(folder, classifier) for folder in found], ignore_index=True)
    names = [name for name in table if name not in ("city", "shift", "changed", *BASES)]
    cities = [name for name, part in table.groupby("city", sort=False) if part["changed"].any()]
    held = {name: table[table["city"] == name] for name in cities}

    def line(score) -> list[float]:
        own, shifted = zip(*(by_shift(held[name], score(name)) for name in cities), strict=True)
        return [*own, np.nanmean(own), *shifted, np.mean(shifted)]

    def chosen(base: str, city: str) -> pd.Series:
        """The figure that serves the other cities best, each of them scored by a fit on the rest."""
        others = [name for name in cities if name != city]
        fits = {name: tuple(part for part in table["city"].unique() if part not in (name, city)) for name in others}
        worth = {}
        for more in ([], *([name] for name in names)):
            score = {one: fitted(table, [base, *more], one, fits[one]) for one in others}
            worth[tuple(more)] = np.mean([by_shift(held[one], score[one])[1] for one in others])
        best = max(worth, key=lambda key: worth[key])
        print(f"beside {base}, for {city} the others choose: {best[0] if best else 'nothing'}")
        return fitted(table, [base, *best], city)

    answers = {f"{name}, alone": line(lambda city, name=name: held[city][name]) for name in names}
    for base in BASES:
        answers[f"{base} alone"] = line(lambda city, base=base: held[city][base])
        answers |= {
            f"{base} + {name}": line(lambda city, base=base, name=name: fitted(table, [base, name], city))
            for name in names
        }
        answers[f"{base} + what the other cities choose"] = line(lambda city, base=base: chosen(base, city))
    columns = [*cities, "mean", *(f"{name}, shifted" for name in cities), "mean, shifted"]
    print(pd.DataFrame(answers, index=columns).T.to_string(float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    main()
