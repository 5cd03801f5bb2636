"""numpy's matrix products, at the word of `bench/kernel/numpy-peer.ts`.

First line out: what computes. Then, for every line in, {"products": [...], "times": n}: the milliseconds all of them
took, n times over. A product is [rows, depth] @ [depth, columns]; an operand that is "transposed" lies in memory as its
transpose. One thread: the caller sets OPENBLAS_NUM_THREADS=1.
"""
import functools
import json
import sys
import time

import numpy as np


@functools.lru_cache(maxsize=None)
def operands(rows, columns, depth, left_transposed, right_transposed):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.random(shape, dtype=np.float32)
    left = draw(depth, rows).T if left_transposed else draw(rows, depth)
    right = draw(columns, depth).T if right_transposed else draw(depth, columns)
    return left, right, np.empty((rows, columns), np.float32)


def library():
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split()[-1] for line in maps if "openblas" in line.rsplit("/", 1)[-1]}
    except OSError:
        paths = set()
    return ", ".join(sorted(paths)) or "a BLAS that is not OpenBLAS"


print(json.dumps({"numpy": np.__version__, "library": library()}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request.get("forget"):
        operands.cache_clear()
    ready = [operands(p["rows"], p["columns"], p["depth"], p["leftTransposed"], p["rightTransposed"]) for p in request["products"]]
    started = time.perf_counter()
    for _ in range(request["times"]):
        for left, right, into in ready:
            np.matmul(left, right, out=into)
    print((time.perf_counter() - started) * 1e3, flush=True)
