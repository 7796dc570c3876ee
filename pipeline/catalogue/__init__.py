"""STAC catalogues: searching an API, bringing an Item's files home, reading by address what need not be brought."""

from pipeline.catalogue.choose import clearest, seasons, size_of
from pipeline.catalogue.download import Progress, fetch, file_name
from pipeline.catalogue.items import Wish, by_range, download_item, item_address, reach_address, reach_missing, wanted
from pipeline.catalogue.query import Query, cloud_cover, search

__all__ = [
    "Progress",
    "Query",
    "Wish",
    "by_range",
    "clearest",
    "cloud_cover",
    "download_item",
    "fetch",
    "file_name",
    "item_address",
    "reach_address",
    "reach_missing",
    "search",
    "seasons",
    "size_of",
    "wanted",
]
