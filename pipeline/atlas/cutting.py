"""The part of an atlas that lies in an area: what the page of one region shows of scenes that reach beyond it."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.atlas.collect import OUTSIDE, PERCENT_UNKNOWN, AtlasInput, CoverTiles, SceneTiles, TileChanges
from pipeline.atlas.imagery import Quicklook, clipped
from pipeline.atlas.payload import Plane
from pipeline.outlines import on_grid, shares_of

Inside = npt.NDArray[np.bool_]


def cut(collected: AtlasInput, shape: shapely.Geometry) -> AtlasInput | None:
    """The tiles that a shape (degrees) touches, whole, with their changes and pictures; None where it touches none.

    What labelled samples found is left out: it holds for the whole map, not for its parts.
    """
    placed = {epsg: on_grid(shape, epsg) for epsg in {scene.epsg for scene in collected.scenes}}
    scenes = [part for scene in collected.scenes if (part := _scene(scene, placed[scene.epsg])) is not None]
    if not scenes:
        return None
    edge = {scene.epsg: scene.grid.edge for scene in scenes}
    changes = [_changes(pair, placed[pair.epsg], edge[pair.epsg]) for pair in collected.changes if pair.epsg in edge]
    return replace(
        collected,
        scenes=tuple(scenes),
        changes=tuple(pair for pair in changes if len(pair.index)),
        assessment=None,
        cover_assessment=None,
    )


def _scene(scene: SceneTiles, placed: shapely.Geometry) -> SceneTiles | None:
    down, right = np.nonzero(scene.codes != OUTSIDE)
    index = np.column_stack([scene.first_col + right, scene.top_row - down])
    touched = shares_of(placed, index, scene.grid.edge) > 0
    if not touched.any():
        return None
    down, right = down[touched], right[touched]
    top, left = int(down.min()), int(right.min())
    box = slice(top, int(down.max()) + 1), slice(left, int(right.max()) + 1)
    inside = np.zeros(scene.codes.shape, np.bool_)
    inside[down, right] = True
    inside = inside[box]
    part = replace(
        scene,
        first_col=scene.first_col + left,
        top_row=scene.top_row - top,
        codes=_kept(scene.codes[box], inside, OUTSIDE),
        confidence=_kept(scene.confidence[box], inside, 0),
        runner_up=_kept(scene.runner_up[box], inside, -1),
        runner_up_confidence=_kept(scene.runner_up_confidence[box], inside, 0),
        valid=_kept(scene.valid[box], inside, 0),
        cloud=_kept(scene.cloud[box], inside, 0),
        shares=None if scene.shares is None else _kept(scene.shares[:, *box], inside, 0),
        cover=None if scene.cover is None else _cover(scene.cover, box, inside),
    )
    return replace(part, quicklook=_picture(part, scene.quicklook), overview=_picture(part, scene.overview))


def _kept(plane: npt.NDArray[Any], inside: Inside, empty: int) -> npt.NDArray[Any]:
    return np.where(inside, plane, plane.dtype.type(empty))


def _cover(cover: CoverTiles, box: tuple[slice, slice], inside: Inside) -> CoverTiles:
    return replace(cover, shares=_kept(cover.shares[:, *box], inside, PERCENT_UNKNOWN))


def _picture(part: SceneTiles, picture: Quicklook | None) -> Quicklook | None:
    if picture is None:
        return None
    return clipped(picture, Plane(part.grid, part.first_col, part.top_row, *part.codes.shape).bounds())


def _changes(pair: TileChanges, placed: shapely.Geometry, edge: float) -> TileChanges:
    touched = shares_of(placed, pair.index, edge) > 0
    return replace(
        pair,
        index=pair.index[touched],
        p_change=pair.p_change[touched],
        state=pair.state[touched],
        vector=None if pair.vector is None else pair.vector[touched],
        label=None if pair.label is None else pair.label[touched],
    )
