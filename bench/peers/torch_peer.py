"""PyTorch on one workload of `ropeteam bench peers`: one process, or DistributedDataParallel over gloo.

    python3 torch_peer.py W3 FOLDER --processes 2 --threads 1 [--pin]

FOLDER is what `workloads.py` wrote. Prints one line of JSON. Batches are slices of tensors in memory, so that torch is
charged no data loader. A step's time is the first process's clock around zero_grad, forward, loss, backward (DDP's
all-reduce is in it) and the optimizer.
"""
import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import time


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload")
    parser.add_argument("folder")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pin", action="store_true", help="process r on core r alone")
    return parser.parse_args()


def launch(arguments):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = dict(
        os.environ,
        WORLD_SIZE=str(arguments.processes),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        GLOO_SOCKET_IFNAME="lo",
        OMP_NUM_THREADS=str(arguments.threads),
        OPENBLAS_NUM_THREADS=str(arguments.threads),
    )
    command = [sys.executable, os.path.abspath(__file__), *sys.argv[1:]]
    processes = [subprocess.Popen(command, env=dict(shared, RANK=str(rank))) for rank in range(arguments.processes)]
    return max(process.wait() for process in processes)


def main(arguments):
    import numpy as np
    import torch
    import torch.distributed as dist
    from torch import nn
    from workloads import definition, initial_weights

    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if arguments.pin:
        os.sched_setaffinity(0, {rank % os.cpu_count()})
    torch.set_num_threads(arguments.threads)
    if world > 1:
        dist.init_process_group("gloo")

    workload = definition(arguments.workload)
    widths, batch, rate = workload["layers"], workload["batch"], workload["learningRate"]
    layers = []
    for inputs, units in zip(widths[:-1], widths[1:]):
        layers += [nn.Linear(inputs, units), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, (_, values) in zip(net.parameters(), initial_weights(widths)):
            parameter.copy_(torch.from_numpy(values))
    model = nn.parallel.DistributedDataParallel(net) if world > 1 else net
    optimizer = {
        "sgd": lambda: torch.optim.SGD(model.parameters(), lr=rate),
        "momentum": lambda: torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9),
        "adam": lambda: torch.optim.Adam(model.parameters(), lr=rate),
    }[workload["optimizer"]]()
    regression = widths[-1] == 1
    loss_of = nn.functional.mse_loss if regression else nn.functional.cross_entropy

    def load(stem):
        array = torch.from_numpy(np.load(os.path.join(arguments.folder, f"{stem}.npy")))
        return array.long() if stem.endswith("y") and not regression else array

    x, y = load("x"), load("y")
    share = batch // world
    per_epoch = len(x) // batch

    def step(rows):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        return (time.perf_counter() - started) * 1e3, loss

    def in_file_order(k):
        begin = k % per_epoch * batch + rank * share
        return slice(begin, begin + share)

    outcome = {}
    if "epochs" in workload:
        test_x, test_y = load("test-x"), load("test-y")
        step_ms, epoch_seconds = [], []
        for epoch in range(workload["epochs"]):
            order = torch.from_numpy(np.random.default_rng(100 + epoch).permutation(len(x)))
            started = time.perf_counter()
            for begin in range(rank * share, per_epoch * batch, batch):
                step_ms.append(step(order[begin : begin + share])[0])
            epoch_seconds.append(time.perf_counter() - started)
        with torch.no_grad():
            outcome["accuracy"] = (net(test_x).argmax(1) == test_y).float().mean().item()
        seconds = sum(epoch_seconds)
    else:
        for k in range(workload["warmup"]):
            step(in_file_order(k))
        started = time.perf_counter()
        taken = [step(in_file_order(workload["warmup"] + k)) for k in range(workload["steps"])]
        seconds = time.perf_counter() - started
        step_ms = [milliseconds for milliseconds, _ in taken]
        loss = taken[-1][1].detach()  # of the last step's rows, before its update
        if world > 1:
            dist.all_reduce(loss)
        outcome["loss"] = loss.item() / world

    peaks = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]
    if world > 1:
        peaks = [None] * world
        dist.all_gather_object(peaks, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    if rank == 0:
        outcome.update(
            stepMs=float(np.median(step_ms)),
            seconds=seconds,
            steps=len(step_ms),
            peakBytes=peaks,
            versions={"torch": torch.__version__, "numpy": np.__version__},
        )
        print(json.dumps(outcome), flush=True)
    # Gloo's orderly end was seen to hang for ever, now and then; everything is said and measured.
    os._exit(0)


if __name__ == "__main__":
    given = read_arguments()
    if "RANK" in os.environ:
        main(given)
    else:
        sys.exit(launch(given))
