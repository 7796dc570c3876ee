"""The catalogue as others open it."""

import pytest
from pystac_client import Client

from pipeline.models import store


@pytest.fixture
def catalogue(server):
    return Client.open(f"{server.url}/stac")


def test_pystac_client_walks_and_searches(catalogue):
    assert catalogue.conforms_to("ITEM_SEARCH") and catalogue.conforms_to("COLLECTIONS")
    (collection,) = catalogue.get_collections()
    assert collection.id == store.DEFAULT
    items = list(collection.get_items())
    assert len(items) == 2
    found = list(catalogue.search(collections=[store.DEFAULT], datetime="2023-01-01/2023-12-31").items())
    assert [item.id for item in found] == [items[1].id]
    assert len(list(catalogue.search(bbox=items[0].bbox, limit=1).items())) == 2  # over two pages
    assert list(catalogue.search(bbox=[100, 0, 101, 1]).items()) == []
    assert [item.id for item in catalogue.search(ids=[items[0].id]).items()] == [items[0].id]


def test_documents_are_valid(catalogue):
    for collection in catalogue.get_collections():
        links = {link.rel for link in collection.links}
        assert {"self", "root", "items"} <= links
        for item in collection.get_items():
            assert item.get_self_href().startswith("http://127.0.0.1")
            assert item.collection_id == collection.id
            assert item.assets["landcover"].href.startswith("http://127.0.0.1")
