"""The products of a scene, one module each.

A module with a function `planned(task, card)` is a product's: it answers with a `Product`, or None where the task does
without. Nothing else names it, so a new product is a new file here.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from pipeline.batch.products.protocol import Product
from pipeline.batch.task import SceneTask
from pipeline.models.card import ModelCard


def planned_products(task: SceneTask, card: ModelCard) -> Mapping[str, Product]:
    """The products that a task asks for, by the names of their modules; nothing is opened yet."""
    modules = {each.name: import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)}
    plans = {name: module.planned(task, card) for name, module in modules.items() if hasattr(module, "planned")}
    return {name: product for name, product in plans.items() if product is not None}


def wanted_bands(products: Mapping[str, Product]) -> tuple[str, ...]:
    """All bands whose stored numbers products need."""
    return tuple(dict.fromkeys(band for product in products.values() for band in product.bands))


def read_bands(card: ModelCard, products: Mapping[str, Product]) -> tuple[str, ...]:
    """All bands that are read of a scene: the model's, then what products need besides."""
    return tuple(dict.fromkeys((*card.input.bands, *wanted_bands(products))))
