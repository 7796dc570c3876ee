"""Engines are found by the name of their file, and the card's first that runs well here is chosen."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.legend import EUROSAT
from pipeline.models import engines, store
from pipeline.models.card import ModelCard
from pipeline.models.engines import keras, openvino
from pipeline.models.input import ModelInput
from pipeline.scenes.radiometry import Stretch

ALL = {name: {"file": name} for name in ("openvino-int8", "openvino-bf16", "openvino-f32", "keras")}
CARD = ModelCard("any", EUROSAT, ModelInput(stretch=Stretch()), engines=ALL)


def _machine(monkeypatch, vnni=True, bf16=True, openvino_there=True, keras_there=True):
    monkeypatch.setattr(openvino, "supports_vnni", lambda: vnni)
    monkeypatch.setattr(openvino, "supports_bf16", lambda core=None: bf16)
    there = {"openvino": openvino_there, "keras": keras_there}
    for engine in (openvino, keras):
        monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: name if there[name] else None)


@pytest.mark.parametrize(
    ("machine", "chosen", "of_openvino"),
    [
        ({}, "openvino-int8", "openvino-int8"),
        ({"vnni": False}, "openvino-bf16", "openvino-bf16"),
        ({"bf16": False}, "openvino-int8", "openvino-int8"),
        ({"vnni": False, "bf16": False}, "openvino-f32", "openvino-f32"),
        ({"openvino_there": False}, "keras", None),
        ({"openvino_there": False, "keras_there": False}, None, None),
    ],
)
def test_the_fastest_engine_that_this_machine_runs_well_is_chosen(monkeypatch, machine, chosen, of_openvino):
    _machine(monkeypatch, **machine)
    for asked, expected in (("auto", chosen), ("openvino", of_openvino)):
        if expected is None:
            with pytest.raises(ModelError, match="none of its engines"):
                store.choose_engine(CARD, asked)
        else:
            assert store.choose_engine(CARD, asked) == expected


@pytest.mark.parametrize(("flags", "there"), [("fpu avx512_vnni", True), ("avx_vnni", True), ("avx512f avx2", False)])
def test_vnni_is_read_from_the_processor_s_flags(monkeypatch, flags, there):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"model name : x\nflags : {flags}\n")
    assert openvino.supports_vnni() is there


def test_an_engine_that_is_asked_for_is_taken_even_where_it_is_slow(monkeypatch):
    _machine(monkeypatch, vnni=False)
    assert store.choose_engine(CARD, "openvino-int8") == "openvino-int8"


def test_an_engine_that_the_gate_refused_is_not_offered():
    card = replace(CARD, engines={"openvino-f32": ALL["openvino-f32"]})
    assert store.choose_engine(card) == "openvino-f32"
    with pytest.raises(ModelError, match=r"any: has no openvino-int8 twin \(there are: openvino-f32\)"):
        store.choose_engine(card, "openvino-int8")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino-fp8", "", "open", "keras-f32", "../keras"])
def test_an_unknown_engine_is_refused_with_what_there_is(name):
    with pytest.raises(ModelError, match=r"no such engine; choose .*keras, onnx, openvino"):
        store.choose_engine(CARD, name)
    with pytest.raises(ModelError, match="no such engine"):
        engines.find(name)


def test_every_file_of_the_folder_is_an_engine():
    files = {path.stem for path in Path(engines.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name.partition("-")[0] for name in engines.names()} == files
    for name in engines.names():
        engine, precision = engines.find(name)
        assert callable(engine.load) and engine.available(precision) in (True, False)


def test_openvino_tells_nobody_that_it_is_used():
    import openvino  # noqa: F401

    assert sys.modules["openvino_telemetry"] is None
