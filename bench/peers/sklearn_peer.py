"""scikit-learn's MLPClassifier on the workloads of `ropeteam bench peers` that are trained to an accuracy.

    python3 sklearn_peer.py fashion FOLDER      # what workloads.py wrote; prints one line of JSON
"""
import json
import os
import resource
import sys
import time
import warnings

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier
from workloads import definition


def main(name, folder):
    warnings.filterwarnings("ignore")  # it would rather train until it has converged
    workload = definition(name)
    x, y, test_x, test_y = (np.load(os.path.join(folder, f"{stem}.npy")) for stem in ("x", "y", "test-x", "test-y"))
    solver = {"solver": "adam"} if workload["optimizer"] == "adam" else {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False}
    model = MLPClassifier(
        tuple(workload["layers"][1:-1]),
        batch_size=workload["batch"],
        learning_rate_init=workload["learningRate"],
        alpha=0.0,
        random_state=0,
        **solver,
    )
    classes = np.arange(workload["layers"][-1])
    started = time.perf_counter()
    for _ in range(workload["epochs"]):
        model.partial_fit(x, y, classes=classes)  # one epoch in an order of its own; the optimizer's state is kept
    seconds = time.perf_counter() - started
    steps = workload["epochs"] * -(-len(x) // workload["batch"])
    outcome = {
        "accuracy": float((model.predict(test_x) == test_y).mean()),
        "stepMs": seconds * 1e3 / steps,
        "seconds": seconds,
        "steps": steps,
        "peakBytes": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024],
        "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
