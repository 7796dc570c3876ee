"""Every way in which the pipeline can refuse work; each message says what, where and what to do next."""


class PipelineError(Exception):
    """Root of all errors that the pipeline raises on purpose."""


class NotAScene(PipelineError):
    """The file or folder is no raster and no Sentinel-2 product."""


class UnsafeInput(PipelineError):
    """The input is not safe to open: disguised format, oversized, a path that leaves its folder, hostile XML or zip."""


class CorruptScene(PipelineError):
    """The structure, a checksum, a size or the decoding of a file says that it is damaged."""


class IncompleteScene(PipelineError):
    """A needed band or file is missing."""


class GeoreferenceError(PipelineError):
    """The scene's place on Earth is unknown, rotated, degenerate or contradictory."""


class ResolutionError(PipelineError):
    """The pixels are not the size that the tile grid needs and may not be resampled to it."""


class UnfitScene(PipelineError):
    """The scene comes from another sensor than the model was trained on."""


class AmbiguousRadiometry(PipelineError):
    """Scale, offset or band order cannot be decided from the metadata and the pixels."""


class EmptyScene(PipelineError):
    """No tile of the scene has enough valid pixels."""


class BadPeriod(PipelineError):
    """A period is no span of days, overlaps with another, or no scene lies in it."""


class SupersededScene(PipelineError):
    """Another scene of the same place and time replaces this one."""


class ModelError(PipelineError):
    """The model is missing or is not what its card says."""


class TileTableError(PipelineError):
    """A tile table cannot be read or does not follow the contract."""


class CrosswalkError(PipelineError):
    """A table that translates classes into another legend is missing, has holes or contradicts itself."""


class ReferenceMapError(PipelineError):
    """A reference raster cannot be read, lies elsewhere, or holds codes that nothing explains."""


class OutputError(PipelineError):
    """An output cannot be written, is locked, or does not read back as written."""
