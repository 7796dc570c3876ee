"""What is added to a scene's stored numbers before they are scaled: decided here, from all that tells it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.bands import SENTINEL_2
from pipeline.errors import AmbiguousRadiometry
from pipeline.scenes.scene import Asset, Level, OffsetEvidence

# Reflectance of a scene's darkest hundredth of pixels in its darkest band: 0.012 to 0.072 in 26 of the 31 real scenes
# looked at, L1C and L2A, up to 0.12 in five deserts and cities. With 1000 DN left in it is above 0.1.
DARK = 0.095
ASSUMED = "assumed none (the pixels must agree)"
_USUAL_SCALE = 1e-4


class Offsets(NamedTuple):
    """What is added to stored numbers, and who says so."""

    values: Mapping[str, float]
    """DN to be added by band."""
    origin: str
    """Where that was read."""
    certain: bool = False
    """So certain that no pixel needs to be asked."""


@dataclass(frozen=True, slots=True)
class Darkness:
    """Reflectance of the darkest hundredth of a scene's pixels, as if nothing had to be added to them."""

    bands: Mapping[str, float]
    """By band."""
    level: Level | None
    """The processing level where something but the pixels tells it."""
    scale: float = 1e-4
    """Reflectance of one DN."""

    def against(self, dn: Mapping[str, float]) -> list[str]:
        """The bands that would be darker than any scene is if `dn` were added to their stored numbers."""
        floors = SENTINEL_2.darkest[Level.L1C if self.level is Level.L1C else Level.L2A]
        dark = self.corrected(dn)
        return [band for band in dark if band in floors and dark[band] < floors[band]]

    def corrected(self, dn: Mapping[str, float]) -> dict[str, float]:
        """The darkest reflectances after `dn` were added."""
        return {band: value + dn.get(band, 0.0) * self.scale for band, value in self.bands.items()}

    def refutes(self, dn: Mapping[str, float]) -> bool:
        """Whether an offset is impossible: two bands speak against it, or the only one that there is.

        One alone may be dark for reasons of its own, such as water after the correction of the air.
        """
        return len(self.against(dn)) >= min(2, len(self.bands))


class Judged(NamedTuple):
    """Offsets after the pixels had their say."""

    offsets: Offsets
    """Those that count."""
    verdict: str
    """What the pixels said."""
    warning: str = ""
    """Empty where they agree."""


def decide(evidence: OffsetEvidence, bands: Iterable[str]) -> Offsets:
    """The offsets by what is known without a look at the pixels.

    The product's own list is certain; then comes the user's word, then what an Item or the files state, then the
    processing baseline.

    Raises:
        AmbiguousRadiometry: a product's own metadata contradict themselves.
    """
    bands = list(bands)
    if evidence.listed is not None:
        known = (band.name for band in SENTINEL_2.bands)
        missing = [band for band in known if band not in evidence.listed and band != "B10"]
        if missing and evidence.asked is None:
            raise AmbiguousRadiometry(
                f"{evidence.where}: {evidence.source} has no offset for {', '.join(missing)}; say --offset 0 or "
                f"--offset -1000"
            )
        if not missing:
            return Offsets({**dict.fromkeys(bands, 0.0), **evidence.listed}, evidence.source, certain=True)
    shifted = baseline_pair(evidence.baseline) >= SENTINEL_2.offset_since
    if evidence.asked is not None:
        return Offsets(dict.fromkeys(bands, evidence.asked), "--offset")
    if evidence.product:
        if not evidence.source:
            raise AmbiguousRadiometry(
                f"{evidence.where}: the product's metadata (MTD_MSIL1C.xml or MTD_MSIL2A.xml) is missing, so the "
                f"offset is unknown; add it, or say --offset 0 or --offset -1000"
            )
        if shifted:
            raise AmbiguousRadiometry(
                f"{evidence.where}: baseline {evidence.baseline} should have offsets, {evidence.source} has none; "
                f"download it again, or say --offset 0 or --offset -1000"
            )
        return Offsets(dict.fromkeys(bands, 0.0), f"{evidence.source} has no offset list", certain=True)
    if evidence.applied:
        return Offsets(dict.fromkeys(bands, 0.0), f"{evidence.source}: the maker applied it already")
    if evidence.stated is not None:
        return Offsets({band: evidence.stated.get(band, 0.0) for band in bands}, evidence.source)
    if shifted:
        return Offsets(dict.fromkeys(bands, SENTINEL_2.offset), f"baseline {evidence.baseline} has it")
    if evidence.baseline:
        return Offsets(dict.fromkeys(bands, 0.0), f"baseline {evidence.baseline} has none")
    return Offsets(dict.fromkeys(bands, 0.0), ASSUMED)


def judge(evidence: OffsetEvidence, bands: Iterable[str], pixels: Darkness) -> Judged:
    """The offsets that metadata and pixels agree on.

    Raises:
        AmbiguousRadiometry: neither decides.
    """
    found = decide(evidence, bands)
    if found.certain:
        return Judged(found, "not needed: the offset is certain")
    usual = dict.fromkeys(found.values, SENTINEL_2.offset)
    if any(found.values.values()):
        return _told(evidence, found, pixels)
    if pixels.refutes(usual):
        return _kept(evidence, found, "pixels agree: no offset is left in")
    darkest = min(pixels.bands.values())
    shifted = baseline_pair(evidence.baseline) >= SENTINEL_2.offset_since
    if found.origin == ASSUMED or (shifted and evidence.asked is None and evidence.applied is None):
        raise AmbiguousRadiometry(
            f"{evidence.where}: nothing tells for sure whether an offset of 1000 is left in its pixels (the darkest "
            f"are at {darkest:.3f}); say --offset 0 or --offset -1000"
        )
    return Judged(
        found,
        f"undecided (the darkest are at {darkest:.3f}): {found.origin}, taken at its word",
        "no dark pixel confirms that nothing has to be added to its numbers; if colours look pale, say --offset -1000",
    )


def _told(evidence: OffsetEvidence, found: Offsets, pixels: Darkness) -> Judged:
    """What the pixels say of an offset that something tells."""
    against, darkest = pixels.against(found.values), min(pixels.corrected(found.values).values())
    told = min(found.values.values())
    if pixels.refutes(found.values):
        verdict = f"pixels are already shifted ({', '.join(against)} would be too dark, the darkest at {darkest:.3f})"
        warning = f"offset 0 is applied instead of the {told:g} of {found.origin}: {verdict}"
        return Judged(Offsets(dict.fromkeys(found.values, 0.0), "pixels"), verdict, warning)
    if not against and darkest < DARK:
        return _kept(evidence, found, "pixels agree with the offset")
    why = f"{', '.join(against)} alone speaks against it" if against else f"the darkest are at {darkest:.3f}"
    return Judged(
        found,
        f"undecided ({why}): {found.origin}, taken at its word",
        f"the pixels do not confirm the offset {told:g} ({why}); if colours look dark, say --offset 0",
    )


def _kept(evidence: OffsetEvidence, found: Offsets, verdict: str) -> Judged:
    stated = evidence.stated is not None and found.origin == "--offset" and dict(evidence.stated) != dict(found.values)
    return Judged(found, verdict, f"--offset is applied instead of what {evidence.source} states" if stated else "")


def shifted(asset: Asset, dn: float) -> Asset:
    """The asset with `dn` added to its stored numbers."""
    return replace(asset, offset=dn * dn_scale(asset.scale))


def dn_scale(scale: float) -> float:
    """Reflectance of one DN; where stored numbers are reflectance already, DN of Sentinel-2's usual scale are meant."""
    return _USUAL_SCALE if scale == 1.0 else scale


def in_dn(scale: float, offset: float) -> float:
    """An offset of reflectance as DN, as `shifted` takes it."""
    return round(offset / dn_scale(scale), 6)


def baseline_pair(baseline: str | None) -> tuple[int, int]:
    """A baseline such as `05.09` as a pair of integers, (0, 0) where it is none.

    >>> baseline_pair("05.09"), baseline_pair("2.0-rc")
    ((5, 9), (0, 0))
    """
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", baseline or "")
    return (int(match[1]), int(match[2])) if match else (0, 0)
