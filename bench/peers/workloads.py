"""The workloads of `ropeteam bench peers`, written so that every system trains on the same bytes from the same weights.

    python3 workloads.py W3 FOLDER      # writes FOLDER/{x,y}.npy, start.safetensors; test-x, test-y where there is a test set

Definitions are in workloads.json. Rows come from numpy's PCG64 with a fixed seed. Those of a last, short batch are left
out, so that a step of any epoch has `batch` rows, and step k takes rows [k * batch, (k + 1) * batch) modulo the file.
"""
import gzip
import json
import os
import struct
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FASHION = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")


def definition(name):
    with open(os.path.join(HERE, "workloads.json")) as file:
        return json.load(file)[name]


def rows_of(workload):
    """Features and targets of the training set, then of the test set or None twice."""
    data, widths = workload["data"], workload["layers"]
    if data["kind"] == "fashion":
        return fashion("train") + fashion("t10k")
    if data["kind"] == "digits":
        return digits()
    rng = np.random.default_rng(data["seed"])
    if data["kind"] == "mixture":
        return mixture(rng, workload["rows"], widths[0], widths[-1], data["prototypes"], data["spread"]) + (None, None)
    slope = np.float32([[3]]) if data["kind"] == "line" else rng.standard_normal((widths[0], 1), dtype=np.float32)
    x = rng.standard_normal((workload["rows"], widths[0]), dtype=np.float32)
    y = x @ slope if data["kind"] == "plane" else 3 * x
    y = y + np.float32(2 if data["kind"] == "line" else 0.5)
    return x, y + np.float32(0.1) * rng.standard_normal(y.shape, dtype=np.float32), None, None


def mixture(rng, rows, width, classes, prototypes, spread):
    """Gaussian clouds, `prototypes` of them a class: with more than one, a hidden layer is needed."""
    centres = rng.standard_normal((classes, prototypes, width), dtype=np.float32) * np.float32(spread)
    label = rng.integers(0, classes, rows)
    prototype = rng.integers(0, prototypes, rows)
    x = rng.standard_normal((rows, width), dtype=np.float32)
    for begin in range(0, rows, 4096):
        part = slice(begin, begin + 4096)
        x[part] += centres[label[part], prototype[part]]
    return x, label.astype(np.int32)


def fashion(part):
    """Pixels / 255 and labels of Fashion-MNIST, as Debian's package dataset-fashion-mnist brings it (MIT licence)."""

    def read(name, header):
        with gzip.open(os.path.join(FASHION, f"{part}-{name}.gz")) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    images = read("images-idx3-ubyte", 16).reshape(-1, 784)
    return (images / np.float32(255)).astype(np.float32), read("labels-idx1-ubyte", 8).astype(np.int32)


def digits():
    """scikit-learn's 1,797 digits, pixels / 16: 1,437 rows to train with and 360 to test with."""
    from sklearn.datasets import load_digits

    given = load_digits()
    order = np.random.default_rng(0).permutation(len(given.data))
    x, y = (given.data / 16).astype(np.float32)[order], given.target.astype(np.int32)[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def initial_weights(widths):
    """By torch's law for `Linear`, U(-1/sqrt(inputs), 1/sqrt(inputs)): (name, array) with weights [units, inputs]."""
    rng = np.random.default_rng(7)
    tensors = []
    for layer, (inputs, units) in enumerate(zip(widths[:-1], widths[1:])):
        bound = np.float32(1 / np.sqrt(inputs))
        for kind, shape in (("weight", (units, inputs)), ("bias", (units,))):
            drawn = (rng.random(shape, dtype=np.float32) * 2 - 1) * bound
            tensors.append((f"{2 * layer}.{kind}", drawn.astype(np.float32)))
    return tensors


def write_safetensors(path, tensors):
    """https://github.com/huggingface/safetensors: length of the header, the header as JSON, the bytes."""
    header, end = {}, 0
    for name, array in tensors:
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, array in tensors:
            file.write(array.tobytes())


def write(name, folder):
    workload = definition(name)
    x, y, test_x, test_y = rows_of(workload)
    # Sets that are trained on for an accuracy keep all rows, in an order that each system draws for itself.
    rows = len(x) if "epochs" in workload else len(x) // workload["batch"] * workload["batch"]
    arrays = {"x": x[:rows], "y": y[:rows], "test-x": test_x, "test-y": test_y}
    os.makedirs(folder, exist_ok=True)
    for stem, array in arrays.items():
        if array is not None:
            np.save(os.path.join(folder, f"{stem}.npy"), np.ascontiguousarray(array))
    write_safetensors(os.path.join(folder, "start.safetensors"), initial_weights(workload["layers"]))


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2])
