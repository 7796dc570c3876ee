"""The exploration as PNGs and one HTML page that holds them."""

import base64
import io
import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bands import BY_NAME
from pipeline.exploration.measure import Exploration, as_json
from pipeline.files import whole_file, write_text
from pipeline.palette import distinct

COUNTRIES = Path(__file__).parents[1] / "countries.geojson"
LISTED = 60
Axes = Any  # matplotlib ships no types for what subplots returns


def write(found: Exploration, folder: Path) -> Path:
    """Writes `explore.html`, its pictures and `explore.json` into a folder and returns the page's path.

    Raises:
        OutputError: the folder cannot be written.
    """
    drawings = {"counts": _counts, "sizes": _sizes, "spectra": _spectra, "brightness": _brightness}
    if np.isfinite(found.places).all(axis=1).any():
        drawings |= {"map": _map, "neighbours": _neighbours}
    pictures = {name: _png(draw, found) for name, draw in drawings.items()}
    for name, data in pictures.items():
        with whole_file(folder / f"{name}.png") as part:
            part.write_bytes(data)
    write_text(folder / "explore.json", json.dumps(as_json(found), indent=1) + "\n")
    write_text(folder / "explore.html", html(found, pictures))
    return folder / "explore.html"


def html(found: Exploration, pictures: dict[str, bytes]) -> str:
    """The page; names from the data are escaped."""
    same = [pair for pair in found.pairs if pair.same]
    unplaced = "" if "map" in pictures else "<p>No file tells where it lies, so there is no map and no neighbours.</p>"
    figures = "".join(
        f'<figure><img src="data:image/png;base64,{base64.b64encode(data).decode()}" alt="{name}"></figure>'
        for name, data in pictures.items()
    )
    pairs = "".join(
        f"<tr><td>{escape(found.files[pair.first])}</td><td>{escape(found.files[pair.second])}</td>"
        f"<td>{'the same' if pair.same else f'alike, {pair.likeness:.2f}'}</td></tr>"
        for pair in found.pairs[:LISTED]
    )
    odd = "".join(
        f"<tr><td>{escape(found.files[at])}</td><td>{found.sizes[at][0]} x {found.sizes[at][1]}</td></tr>"
        for at in found.odd_sizes[:LISTED]
    )
    width, height = found.common_size
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(found.name)}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem;color:#1b1f24}}
img{{max-width:100%}}figure{{margin:1rem 0}}td{{padding:.1rem .8rem .1rem 0}}</style>
<h1>{escape(found.name)}</h1>
<p>{len(found.files):,} pictures of {len(found.classes)} classes, bands {escape(" ".join(found.bands))}; most are
{width} x {height} pixels, {len(found.odd_sizes)} are not. {len(same)} pairs are the same,
{len(found.pairs) - len(same)}
more are alike.</p>{unplaced}{figures}
<h2>The same or alike</h2><table>{pairs or "<tr><td>none</td></tr>"}</table>
<h2>Of another size</h2><table>{odd or "<tr><td>none</td></tr>"}</table>
<p>The first {LISTED} of each; explore.json has all.</p></html>
"""


def _png(draw: Any, found: Exploration) -> bytes:  # noqa: ANN401 - one of the drawings below
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 4.2))
    draw(axis, found)
    figure.tight_layout()
    stream = io.BytesIO()
    figure.savefig(stream, dpi=100, format="png")
    pyplot.close(figure)
    return stream.getvalue()


def _names(found: Exploration) -> list[str]:
    return [label.replace("$", r"\$") for label in found.classes]  # matplotlib would set mathematics


def _counts(axis: Axes, found: Exploration) -> None:
    axis.bar(_names(found), found.counts, color="#2b55c0")
    axis.set(ylabel="pictures", title="pictures of each class")
    axis.tick_params(axis="x", rotation=70, labelsize=8)


def _sizes(axis: Axes, found: Exploration) -> None:
    widths, heights = np.array(found.sizes).T
    common = np.ones(len(widths), np.bool_)
    common[found.odd_sizes] = False
    axis.scatter(widths[common], heights[common], s=30, color="#8a8f98", label=f"{common.sum()} pictures")
    axis.scatter(widths[~common], heights[~common], s=14, color="#d00c37", label=f"{(~common).sum()} of another size")
    axis.set(xlabel="width, pixels", ylabel="height, pixels", title="sizes")
    axis.legend(frameon=False)


def _spectra(axis: Axes, found: Exploration) -> None:
    mean, _ = found.by_class()
    colours, order = distinct(len(mean)), _by_wavelength(found.bands)
    for code, (label, row) in enumerate(zip(_names(found), mean, strict=True)):
        axis.plot([found.bands[at] for at in order], row[order], marker="o", ms=3, color=colours[code], label=label)
    unit = "reflectance" if mean.max() < 4 else "number, 0..255"
    axis.set(ylabel=f"mean {unit}", title="spectra of the classes")
    axis.legend(frameon=False, fontsize=7, ncols=3)


def _by_wavelength(bands: tuple[str, ...]) -> list[int]:
    """Positions of the bands, short waves first."""
    return sorted(range(len(bands)), key=lambda at: BY_NAME[bands[at]].centre)


def _brightness(axis: Axes, found: Exploration) -> None:
    bright = found.spectra.mean(axis=1)
    axis.boxplot([bright[found.labels == code] for code in range(len(found.classes))], tick_labels=_names(found))
    axis.set(ylabel="mean of all bands", title="brightness of the pictures")
    axis.tick_params(axis="x", rotation=70, labelsize=8)


def _map(axis: Axes, found: Exploration) -> None:
    lon, lat = found.places.T
    colours = distinct(len(found.classes))
    for feature in json.loads(COUNTRIES.read_text(encoding="utf-8"))["features"]:
        shape = feature["geometry"]
        for polygon in [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]:
            x, y = np.array(polygon[0]).T[:2]
            axis.fill(x, y, facecolor="#f1efe9", edgecolor="#b9b4a7", lw=0.5)
    for code, label in enumerate(_names(found)):
        here = found.labels == code
        axis.scatter(lon[here], lat[here], s=8, color=colours[code], label=label)
    pad = 3.0
    axis.set(xlim=(np.nanmin(lon) - pad, np.nanmax(lon) + pad), ylim=(np.nanmin(lat) - pad, np.nanmax(lat) + pad))
    axis.set(xlabel="longitude", ylabel="latitude", title="where the pictures lie")
    axis.set_aspect(1 / np.cos(np.radians(np.nanmean(lat))))
    axis.legend(frameon=False, fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))


def _neighbours(axis: Axes, found: Exploration) -> None:
    table = found.neighbours()
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axis.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        if value:
            axis.text(column, row, str(value), ha="center", va="center", fontsize=7)
    axis.set_xticks(range(len(table)), _names(found), rotation=45, ha="right", fontsize=7)
    axis.set_yticks(range(len(table)), _names(found), fontsize=7)
    axis.set(title=f"class of the nearest picture within 25 km ({table.sum()} of {len(found.files)} have one)")
