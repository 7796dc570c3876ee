"""From a trained network to a stored model: model.keras, the OpenVINO twin, the abstention score, the card."""

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError, OutputError
from pipeline.files import digest
from pipeline.models.abstention import FILE, Abstention
from pipeline.models.card import ModelCard
from pipeline.models.engines.keras import load_model
from pipeline.models.networks import Network

Group = Any  # of an HDF5 file; h5py ships no types


def with_temperature(network: Network, temperature: float) -> Network:
    """The network (logits out) followed by temperature and softmax: probabilities out."""
    import keras

    scaled = keras.layers.Rescaling(1.0 / temperature, name="temperature", dtype="float32")(network.output)
    return keras.Model(
        network.input, keras.layers.Softmax(name="probabilities", dtype="float32")(scaled), name=network.name
    )


def save_keras(model: Network, path: Path) -> None:
    """Stores a float32 model with its kernels as float16 (half the size; Keras restores float32 on loading).

    Batch statistics stay float32: their variances leave float16's range.
    """
    import h5py  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "model.keras"
        model.save(whole)
        with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for entry in sorted(source.infolist(), key=lambda entry: entry.filename):
                data = source.read(entry)
                if entry.filename.endswith(".h5"):
                    halved = io.BytesIO()
                    with h5py.File(io.BytesIO(data)) as stored, h5py.File(halved, "w") as small:
                        _copy_halved(stored, small)
                    data = halved.getvalue()
                # A fixed date, so that the same weights give the same file.
                target.writestr(zipfile.ZipInfo(entry.filename, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def save_openvino(stored: Path, path: Path, dtype: npt.DTypeLike = np.uint8) -> None:
    """Stores the twin of a stored Keras model; it takes patches of `dtype`, gives `probabilities` and `features`.

    Raises:
        ModelError: another backend trains and TensorFlow cannot convert the model.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        convert(stored, path, dtype)
        return
    # OpenVINO reads TensorFlow's graphs, and TensorFlow reads what any backend stored.
    command = [sys.executable, "-m", __name__, str(stored.resolve()), str(path.resolve()), np.dtype(dtype).name]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ModelError(
            f"{path}: TensorFlow cannot make the OpenVINO twin ({said[-1] if said else done.returncode}); install "
            f"requirements.txt"
        )


def convert(stored: Path, path: Path, dtype: npt.DTypeLike = np.uint8) -> None:
    """What `save_openvino` does, where Keras runs on TensorFlow."""
    import keras
    import openvino
    from openvino.preprocess import PrePostProcessor

    model = load_model(stored)
    both = keras.Model(model.inputs, {"probabilities": model.output, "features": model.get_layer("features").output})
    with tempfile.TemporaryDirectory() as folder:
        both.export(folder, verbose=False)
        graph = openvino.convert_model(folder)
    for output in graph.outputs:
        name = "probabilities" if output.partial_shape[1].get_length() == model.output_shape[1] else "features"
        output.get_tensor().set_names({name})
    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(openvino.Type(np.dtype(dtype)))
    graph = steps.build()
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(graph, path, compress_to_fp16=True)


def save(folder: Path, network: Network, card: ModelCard, abstention: Abstention | None = None) -> ModelCard:
    """Writes the model's folder and returns its card with the digests of all weight files; a card comes last.

    `network` gives logits; `card.temperature` goes into the stored graphs.

    Raises:
        OutputError: the folder cannot be written.
    """
    model = with_temperature(network, card.temperature)
    try:
        (folder / "openvino").mkdir(parents=True, exist_ok=True)
        save_keras(model, folder / "model.keras")
        save_openvino(folder / "model.keras", folder / "openvino" / "model.xml", card.input.dtype)
        if abstention is not None:
            abstention.write(folder / FILE)
        return write_card(folder, card)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write the model ({error.strerror}); free some space and export again"
        ) from error


def write_card(folder: Path, card: ModelCard) -> ModelCard:
    """Stores the card with the digests of the folder's weight files."""
    files = [path for pattern in ("*.keras", "*.npz", "openvino/*") for path in sorted(folder.glob(pattern))]
    finished = replace(card, sha256={path.relative_to(folder).as_posix(): digest(path) for path in files})
    finished.write(folder / "card.json")
    return finished


def data_digest(patches: npt.NDArray[Any], labels: npt.NDArray[np.integer]) -> str:
    """SHA-256 of decoded patches and their labels, whatever container they came in."""
    found = hashlib.sha256(np.ascontiguousarray(patches).tobytes())
    found.update(labels.astype("<i8").tobytes())
    return found.hexdigest()


def versions() -> Mapping[str, str]:
    """The versions that shaped the weights."""
    import importlib.metadata
    import platform

    import keras

    found = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for package in ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy", "openvino"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _copy_halved(source: Group, target: Group) -> None:
    for name, value in source.attrs.items():
        target.attrs[name] = value
    for name, item in source.items():
        if hasattr(item, "items"):
            _copy_halved(item, target.create_group(name))
        else:
            array = item[()]
            kernel = getattr(array, "ndim", 0) >= 2 and array.dtype == np.float32
            target.create_dataset(name, data=array.astype(np.float16) if kernel else array)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
