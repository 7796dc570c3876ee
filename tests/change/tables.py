"""Makers of small tile tables with known answers."""

from datetime import UTC, datetime, timedelta

import numpy as np

from pipeline.grid import TileGrid
from pipeline.legend import EUROSAT
from pipeline.results.table import TileAnswers, tile_table

EPSG = 32632
COLUMNS, ROWS = range(700, 707), range(7800, 7804)
INDEX = np.array([(col, row) for row in ROWS for col in COLUMNS])
COUNT = len(INDEX)
START = datetime(2020, 6, 1, 10, 30, tzinfo=UTC)


def probabilities(classes, sure=0.97):
    """(n, 10) rows that give `sure` to one class and share the rest."""
    classes = np.asarray(classes)
    out = np.full((len(classes), 10), (1 - sure) / 9, np.float32)
    out[np.arange(len(classes)), classes] = sure
    return out


def table(scene, classes, days=0.0, index=INDEX, sure=0.97, states=None, valid=1.0, cloud=0.0, epsg=EPSG):
    """The table of a scene `days` after the start; `states` maps positions to tile states without a class."""
    codes = np.array(np.broadcast_to(classes, len(index)), dtype=np.int8)
    answers = probabilities(codes, sure) if np.ndim(sure) == 0 else sure
    for at, state in (states or {}).items():
        codes[at] = state
        if state != -3:
            answers[at] = np.nan
    share = np.ones(len(index), np.float32)
    return tile_table(
        TileAnswers(index, codes, answers, share * valid, share * cloud),
        TileGrid(epsg),
        EUROSAT,
        scene,
        START + timedelta(days=days),
    )


def tile_id(at):
    return TileGrid(EPSG).tile_id(tuple(INDEX[at].tolist()))
