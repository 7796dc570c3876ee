"""The shapes of answers and questions, as /docs and docs/api.md tell them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline import __version__
from pipeline.change import ChangeOptions
from pipeline.models import store

_FOREST = {"Forest": 0.9731, "HerbaceousVegetation": 0.0122, "SeaLake": 0.0081}


class Answer(BaseModel):
    """What the model says of one patch; the keys of `classify --json`."""

    image: str = Field(description="The name that the picture came with.", examples=["forest.jpg"])
    x: int = Field(description="Pixels from the picture's left edge.", examples=[0])
    y: int = Field(description="Pixels from the picture's upper edge.", examples=[0])
    label: str = Field(description="The class, or `unclassified`.", examples=["Forest"])
    best_class: str = Field(description="The likeliest class, also where it must not count.", examples=["Forest"])
    confidence: float = Field(description="Calibrated probability of the likeliest class.", examples=[0.9731])
    unfamiliar: bool = Field(description="Unlike anything that the model was trained on.", examples=[False])
    probabilities: dict[str, float] = Field(description="Of every class.", examples=[_FOREST])
    model: str = Field(description="The model that answered.", examples=["eurosat-resnet50"])


class BadPicture(BaseModel):
    """A picture that could not be read, among others that could."""

    image: str = Field(examples=["broken.jpg"])
    error: str = Field(examples=["broken.jpg: the picture is empty; copy it again"])
    model: str = Field(examples=["eurosat-resnet50"])


class ProblemDocument(BaseModel):
    """A refusal (RFC 9457, application/problem+json)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Content Too Large"])
    status: int = Field(examples=[413])
    detail: str = Field(examples=["the body has more than 100,000,000 bytes; send less at a time"])


class AtlasSummary(BaseModel):
    """One model's results."""

    id: str = Field(examples=["eurosat-resnet50"])
    title: str = Field(examples=["eurosat-resnet50"])
    scenes: list[str] = Field(examples=[["S2B_L2A_T32TNT_20210723T102559"]])
    dates: list[str] = Field(examples=[["2021-07-23", "2023-07-23"]])
    bbox: list[float] = Field(description="West, south, east, north.", examples=[[9.16, 47.6, 9.38, 47.8]])
    page: str | None = Field(description="Address of its offline page.", examples=["/atlases/eurosat-resnet50/page"])
    job: str | None = Field(description="The job that made it.", examples=[None])
    layers: list[str] = Field(examples=[["landcover", "confidence", "truecolour"]])
    legend: list[dict[str, Any]] = Field(
        examples=[[{"code": 1, "label": "Forest", "title": "Forest", "colour": "#0b5410"}]]
    )
    assessed: bool = Field(description="Whether areas come with intervals from a labelled sample.", examples=[False])


class AreaQuestion(BaseModel):
    """Which ground, of which atlas and dates."""

    model_config = ConfigDict(extra="forbid")

    polygon: dict[str, Any] = Field(
        description="GeoJSON: a Polygon or MultiPolygon, a Feature or a FeatureCollection, in longitude and latitude.",
        examples=[
            {"type": "Polygon", "coordinates": [[[9.2, 47.65], [9.3, 47.65], [9.3, 47.75], [9.2, 47.75], [9.2, 47.65]]]}
        ],
    )
    dates: Annotated[list[str], Field(max_length=1000)] = Field(
        default=[], description="Days (YYYY-MM-DD); all where none is named.", examples=[["2023-07-23"]]
    )
    atlas: str | None = Field(default=None, description="The only one where none is named.", examples=[None])


class AreaRow(BaseModel):
    """Hectares of one class in one region on one day."""

    date: str = Field(examples=["2023-07-23"])
    region: str = Field(examples=["area 1"])
    label: str = Field(examples=["Forest"])
    tiles: float = Field(description="Tiles; one on a border may count in part.", examples=[61.0])
    hectares: float = Field(description="Counted on the map.", examples=[2498.6])
    share: float = Field(examples=[0.11])
    adjusted_hectares: float | None = Field(
        default=None, description="Corrected by the labelled sample's errors.", examples=[2611.0]
    )
    adjusted_ci: float | None = Field(
        default=None, description="Half width of the 95 % interval in hectares.", examples=[140.2]
    )


class AreaAnswer(BaseModel):
    """Areas of a polygon."""

    atlas: str = Field(examples=["eurosat-resnet50"])
    rows: list[AreaRow]
    assessment: str | None = Field(
        description="What the intervals rest on.",
        examples=["a labelled sample of the whole atlas; inside the polygon its errors are taken to be the same"],
    )


class JobQuestion(BaseModel):
    """A folder of scenes to map, with the options of `run`."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    folder: str | None = Field(
        default=None, description="Below a folder that the server was started with (--scenes).", examples=["tyrol"]
    )
    title: Annotated[str, Field(max_length=120)] = Field(default="", examples=["Tyrol, two summers"])
    model: str | None = Field(default=None, examples=["eurosat-resnet50"])
    cover: str = Field(
        default=store.DEFAULT_COVER, max_length=200, description="As --cover.", examples=[store.DEFAULT_COVER]
    )
    bands: str = Field(default="", max_length=200, description="As --bands.", examples=["B04,B03,B02"])
    offset: float | None = Field(default=None, ge=-10_000, le=10_000, description="As --offset.", examples=[None])
    tci_max: float | None = Field(default=None, gt=0, le=65_535, description="As --tci-max.", examples=[None])
    assume_crs: int | None = Field(default=None, ge=1024, le=999_999, description="As --assume-crs.", examples=[None])
    min_valid: float = Field(default=0.5, ge=0, le=1, description="As --min-valid.", examples=[0.5])
    smooth: bool = Field(default=False, description="As --smooth.", examples=[False])
    prior: float = Field(
        default=ChangeOptions().prior, ge=0.0001, le=0.1, description="As --prior.", examples=[ChangeOptions().prior]
    )


class JobAnswer(BaseModel):
    """How a job stands."""

    id: str = Field(examples=["3f2a91c4d07b"])
    title: str = Field(examples=["Tyrol, two summers"])
    state: Literal["queued", "running", "done", "failed", "cancelled", "interrupted"] = Field(examples=["running"])
    reason: str | None = Field(examples=[None])
    created: str = Field(examples=["2026-05-04T10:12:01.120+00:00"])
    changed: str = Field(examples=["2026-05-04T10:12:03.480+00:00"])
    attempts: int = Field(examples=[1])
    atlas: str | None = Field(description="The atlas that it made.", examples=[None])
    progress: dict[str, Any] = Field(
        description="The last event of each kind.",
        examples=[{"tiles": {"done": 412, "of": 29412, "per_second": 402.7}}],
    )
    result: dict[str, Any] = Field(examples=[{}])


class Health(BaseModel):
    """Whether the server answers."""

    status: Literal["ready", "starting", "failing"] = Field(examples=["ready"])
    version: str = Field(examples=[__version__])
    model: str = Field(examples=["eurosat-resnet50"])
    engine: str | None = Field(examples=["openvino-int8"])
    reason: str | None = Field(default=None, examples=[None])


class Token(BaseModel):
    """The server's token, for a browser's session."""

    token: str = Field(max_length=1000, examples=["correct horse battery staple"])
