"""The looks of a period: which scenes' results become one composite."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atlas.places import granules
from pipeline.composite.pool import COVER_DEPENDENCE, TILE_DEPENDENCE
from pipeline.composite.tile_pool import Ground
from pipeline.errors import TileTableError
from pipeline.files import digest
from pipeline.grid import TileGrid, TileIndex
from pipeline.results.layout import CHIPS, ITEM, TABLE
from pipeline.results.looks import PASS
from pipeline.results.period import Period
from pipeline.results.record import SceneRecord
from pipeline.results.table import read_metadata

# Raise it with every change of what a composite means: those of an older version are then made anew.
_VERSION = 1
# Looks of one place: the smaller one lies at least by so much inside the larger. Neighbouring granules share a tenth.
_SAME_PLACE = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """One scene's results."""

    id: str
    """The scene."""
    folder: Path
    """Where they lie."""
    acquired: datetime
    """When it was taken."""
    ground: Ground
    """The tiles of its table."""
    model: str
    """Digest of the card of the model that made them."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The looks of a period at one place."""

    id: str
    """The composite's name."""
    period: Period
    """The span."""
    looks: tuple[Look, ...]
    """In order of time."""

    @property
    def ground(self) -> Ground:
        """The rectangle of tiles that holds all looks."""
        columns, rows = (
            range(min(line.start for line in lines), max(line.stop for line in lines))
            for lines in zip(*((look.ground.columns, look.ground.rows) for look in self.looks), strict=True)
        )
        return Ground(self.looks[0].ground.grid, columns, rows)

    def passes(self) -> Iterator[tuple[Look, ...]]:
        """Looks that one pass of the satellite took."""
        held: list[Look] = []
        for look in self.looks:
            if held and look.acquired - held[-1].acquired > PASS:
                yield tuple(held)
                held = []
            held.append(look)
        yield tuple(held)

    def fingerprint(self) -> str:
        """A digest of all that decides the composite; each look's Item holds the digests of its files.

        Raises:
            OSError: a look's results cannot be read.
        """
        facts = {
            "version": _VERSION,
            "id": self.id,
            "period": str(self.period),
            "dependence": [TILE_DEPENDENCE, COVER_DEPENDENCE],
            "looks": [[look.id, digest(look.folder / ITEM), (look.folder / CHIPS).is_dir()] for look in self.looks],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def looks_in(period: Period, records: Iterable[SceneRecord]) -> list[SceneRecord]:
    """The mapped scenes of a period, in order of time; composites are none, nor are scenes of unknown date."""
    found = [
        record
        for record in records
        if record.mapped and record.period is None and record.acquired is not None
        if period.holds(datetime.fromisoformat(record.acquired))
    ]
    return sorted(found, key=lambda record: (record.acquired or "", record.id))


def gather(period: Period, records: Sequence[SceneRecord], folder: Path) -> list[Gathered]:
    """The looks of a period by place: each scene goes to the largest one whose ground it shares.

    Raises:
        TileTableError: a scene's results are damaged, or other models' are among them.
    """
    looks = [_look(record, folder) for record in records]
    if len({look.model for look in looks}) > 1:
        raise TileTableError(
            f"{folder}: the scenes of {period} were mapped by different models; run the pipeline on them again"
        )
    places: list[list[Look]] = []
    for look in sorted(looks, key=lambda one: (-_size(one.ground), one.acquired, one.id)):
        home = next((place for place in places if _share(look.ground, place[0].ground) >= _SAME_PLACE), None)
        if home is None:
            places.append([look])
        else:
            home.append(look)
    names = [granules(look.id for look in place) for place in places]
    found = []
    for place, name in zip(places, names, strict=True):
        ordered = tuple(sorted(place, key=lambda one: (one.acquired, one.id)))
        one = Gathered("", period, ordered)
        corner = one.ground.grid.tile_id(TileIndex(one.ground.columns.start, one.ground.rows.stop - 1))
        known = len(name) == 1 and names.count(name) == 1
        found.append(Gathered(f"{period.name}_{name[0] if known else corner}", period, ordered))
    return sorted(found, key=lambda one: one.id)


def _look(record: SceneRecord, folder: Path) -> Look:
    path = folder / record.id / TABLE
    told: dict[str, Any] = read_metadata(path)
    try:
        table = pq.read_table(path, columns=["col", "row"])
        columns, rows = (table.column(name).to_numpy() for name in ("col", "row"))
        ground = Ground(
            TileGrid(**told["grid"]),
            range(int(columns.min()), int(columns.max()) + 1),
            range(int(rows.min()), int(rows.max()) + 1),
        )
        model = str(told["model"]["card_sha256"])
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise TileTableError(f"{path}: not a tile table ({error}); run the pipeline on its scene again") from error
    return Look(record.id, path.parent, datetime.fromisoformat(str(record.acquired)), ground, model)


def _size(ground: Ground) -> int:
    return len(ground.columns) * len(ground.rows)


def _share(one: Ground, other: Ground) -> float:
    """How much of the smaller of two rectangles of one grid both share, 0..1."""
    if one.grid != other.grid:
        return 0.0
    across, down = (
        max(0, min(a.stop, b.stop) - max(a.start, b.start))
        for a, b in ((one.columns, other.columns), (one.rows, other.rows))
    )
    return across * down / min(_size(one), _size(other))
