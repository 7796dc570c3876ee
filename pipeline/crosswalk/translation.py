"""Classes of one legend as those of another: probabilities summed, tile tables and pixels translated."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.crosswalk.correspondence import Crosswalk
from pipeline.errors import CrosswalkError
from pipeline.legend import COVER, EUROSAT, UC_MERCED, Legend, Role, known_legend
from pipeline.results.table import PURITY, certainty, cover_columns, probability_columns

# Two sums that differ by less came from equal ones.
_EQUAL = 1e-6


@dataclass(frozen=True, slots=True)
class Translation:
    """One legend's classes as those of another."""

    source: Legend
    """The classes that results carry."""
    target: Legend
    """What they become; only classes that something becomes."""
    into: npt.NDArray[np.int64]
    """For every class of `source` its code in `target` (classes,)."""

    def codes(self) -> npt.NDArray[np.uint8]:
        """What every value 0..255 of a raster of `source` becomes; states stay (256,)."""
        table = np.arange(256, dtype=np.uint8)
        table[: len(self.into)] = self.into
        return table

    def merged(self, parts: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Sums (n, target classes) of probabilities or shares (n, source classes); NaN where they are."""
        sums = np.zeros((len(parts), len(self.target.classes)))
        np.add.at(sums.T, self.into, parts.astype(np.float64).T)
        return sums.astype(np.float32)


def translation(crosswalk: Crosswalk, source: Legend) -> Translation | None:
    """How the table turns the classes of a legend; None where it has no row for any of them.

    A row counts for a legend of its own name, or without one for whichever has the class. Roles that the table does
    not state are those of most of the merged classes.

    Raises:
        CrosswalkError: the table has holes: rows for some of the classes only; or all become one class.
    """
    known = known_legend(source.labels)
    names = {source.name, *([known.name] if known else [])}
    found = {
        row.origin: row.label
        for row in crosswalk.rows
        if row.origin in source.labels and (not row.legend or row.legend in names)
    }
    if not found:
        return None
    if holes := [label for label in source.labels if label not in found]:
        raise CrosswalkError(
            f"legend {crosswalk.name}: has no row for {', '.join(holes)} of {source.name}; say what each class becomes"
        )
    labels = [label for label in crosswalk.legend.labels if label in found.values()]
    if len(labels) < 2:
        raise CrosswalkError(f"legend {crosswalk.name}: all of {source.name} becomes {labels[0]}; name two classes")
    into = np.array([labels.index(found[label]) for label in source.labels])
    by_label = {entry.label: entry for entry in crosswalk.legend.classes}
    classes = []
    for code, label in enumerate(labels):
        entry = by_label[label]
        members = [source.classes[at].roles for at in np.flatnonzero(into == code)]
        classes.append(entry if entry.roles else replace(entry, roles=_of_most(members)))
    return Translation(source, Legend(crosswalk.name, tuple(classes)), into)


def refuse_strange(crosswalk: Crosswalk, known: Sequence[Legend]) -> None:
    """Refuses rows for classes that are in none of the legends.

    Raises:
        CrosswalkError: a row names such a class.
    """
    labels = {label for legend in (*known, EUROSAT, COVER, UC_MERCED) for label in legend.labels}
    if strange := sorted({row.origin for row in crosswalk.rows} - labels):
        here = "; ".join(f"{legend.name}: {', '.join(legend.labels)}" for legend in known)
        raise CrosswalkError(
            f"legend {crosswalk.name}: {', '.join(strange)} in the column from is no class of these results ({here}); "
            f"mend the name or take the line out"
        )


def _of_most(members: list[tuple[Role, ...]]) -> tuple[Role, ...]:
    """The roles that more than half of the members have, in the order of `Role`."""
    counted = Counter(role for roles in members for role in roles)
    return tuple(role for role in Role if counted[role] * 2 > len(members))


def translated_table(table: gpd.GeoDataFrame, tiles: Translation | None, cover: Translation | None) -> gpd.GeoDataFrame:
    """A tile table in other classes, of the tiles and of the cover's shares; None leaves these as they are.

    The label is the most likely merged class, as the model alone says; where smoothing chose another than the model's,
    the label is what that choice becomes.
    """
    found = table if tiles is None else _translated_classes(table, tiles)
    own = [] if cover is None else cover_columns(cover.source.labels)
    if cover is None or not set(own) <= set(table.columns):
        return found
    merged = cover.merged(table[own].to_numpy())
    told = pd.DataFrame(merged, columns=cover_columns(cover.target.labels), index=table.index)
    return _replaced(found, own, told.assign(**{PURITY: merged.max(axis=1)} if PURITY in table.columns else {}))


def _translated_classes(table: gpd.GeoDataFrame, tiles: Translation) -> gpd.GeoDataFrame:
    own, names = (probability_columns(legend.labels) for legend in (tiles.source, tiles.target))
    merged = tiles.merged(table[own].to_numpy())
    smoothed = "code_raw" in table.columns
    raw = table["code_raw" if smoothed else "code"].to_numpy()
    spoken = _likeliest(merged, raw, tiles)
    codes = table["code"].to_numpy()
    chosen = np.where(codes == raw, spoken, np.where(codes >= 0, tiles.into[np.maximum(codes, 0)], codes))
    columns: dict[str, Any] = {"code": chosen.astype(np.int8), "label": _labelled(chosen, tiles.target)}
    if smoothed:
        columns |= {"code_raw": spoken.astype(np.int8), "label_raw": _labelled(spoken, tiles.target)}
    sure = certainty(merged)
    rows = np.arange(len(table))
    confidence = np.where(chosen >= 0, merged[rows, np.maximum(chosen, 0)], sure.confidence)
    columns |= {"confidence": confidence.astype(np.float32), "entropy": sure.entropy, "margin": sure.margin}
    told = {name: value for name, value in columns.items() if name in table.columns}
    more = pd.DataFrame(merged, columns=names, index=table.index)
    return _replaced(table.assign(**told), own, more)


def _replaced(table: gpd.GeoDataFrame, own: Sequence[str], more: pd.DataFrame) -> gpd.GeoDataFrame:
    """The table with other columns in the place of some of its own; those of both stay where they are."""
    kept = table.drop(columns=list(own)).assign(**{name: more[name] for name in more if name in table.columns})
    new = more[[name for name in more if name not in kept.columns]]
    at = table.columns.get_loc(own[0])
    order = [name for name in table.columns if name not in own]
    order[at:at] = list(new.columns)
    return gpd.GeoDataFrame(pd.concat([kept, new], axis=1)[order], geometry="geometry", crs=table.crs)


def _likeliest(merged: npt.NDArray[np.float32], raw: npt.NDArray[Any], tiles: Translation) -> npt.NDArray[np.int64]:
    """The most likely merged class (n,) where the model gave one, else its state; ties go to the class's own."""
    own = np.where(raw >= 0, tiles.into[np.maximum(raw, 0)], 0)
    sums = np.nan_to_num(merged, nan=-1.0)
    best = sums.argmax(axis=1)
    rows = np.arange(len(raw))
    best = np.where(sums[rows, own] >= sums[rows, best] - _EQUAL, own, best)
    return np.asarray(np.where(raw >= 0, best, raw), dtype=np.int64)


def _labelled(codes: npt.NDArray[np.int64], legend: Legend) -> pd.Categorical:
    return pd.Categorical([legend.label(int(code)) for code in codes])
