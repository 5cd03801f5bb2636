"""Writes reference.ndjson: what PyTorch makes of small trainings, for torch.test.ts to compare with.

    python3 test/torch/write-reference.py > test/torch/reference.ndjson

Needs Debian's python3-torch. The first line has versions, data and first weights; each further line is one training.
Everything is computed in double precision from float32 data and weights, so that no rounding of the reference counts; a
training that comes out differently in single precision is refused.
"""

import json
import math
import platform
import sys

import numpy
import torch
from torch.optim import lr_scheduler

STEPS = 100
SAMPLES = 64
INPUTS = 20
torch.manual_seed(22)
torch.set_num_threads(1)


class Lamb(torch.optim.Optimizer):
    """You et al., 2020, "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", algorithm 2.

    phi(z) = z; the trust ratio is 1 where either norm is 0, as in the authors' implementation. Bias correction as printed.
    """

    def __init__(self, groups, lr, betas, eps):
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for x in group["params"]:
                state = self.state[x]
                if not state:
                    state["t"], state["m"], state["v"] = 0, torch.zeros_like(x), torch.zeros_like(x)
                g = x.grad
                state["t"] += 1
                state["m"] = beta1 * state["m"] + (1 - beta1) * g
                state["v"] = beta2 * state["v"] + (1 - beta2) * g**2
                m = state["m"] / (1 - beta1 ** state["t"])
                v = state["v"] / (1 - beta2 ** state["t"])
                r = m / (v.sqrt() + group["eps"])
                u = r + group["weight_decay"] * x
                x_norm, u_norm = x.norm().item(), u.norm().item()
                ratio = x_norm / u_norm if x_norm > 0 and u_norm > 0 else 1
                x -= group["lr"] * ratio * u


def adam_settings(spec):
    return {"lr": spec["learningRate"], "betas": (spec["beta1"], spec["beta2"]), "eps": spec["epsilon"]}


def optimizer_of(spec, l2, model):
    """Weight decay, of whichever kind, is for matrices only."""
    decay = spec.get("weightDecay", l2)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": decay},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0},
    ]
    kind, lr = spec["kind"], spec["learningRate"]
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=lr)
    if kind == "momentum":
        return torch.optim.SGD(groups, lr=lr, momentum=spec["momentum"], nesterov=spec["nesterov"])
    if kind == "adagrad":
        return torch.optim.Adagrad(groups, lr=lr, eps=spec["epsilon"])
    if kind == "rmsprop":
        return torch.optim.RMSprop(
            groups, lr=lr, alpha=spec["decay"], eps=spec["epsilon"], momentum=spec["momentum"]
        )
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "lamb": Lamb}[kind](groups, **adam_settings(spec))


def scheduler_of(schedule, optimizer):
    """PyTorch's own scheduler wherever it has one of the shape; LambdaLR where a warm-up comes first."""
    warmup, after = schedule["warmup"], schedule["after"]
    kind = after["kind"]
    if warmup > 0:
        rest = {
            "linear": lambda p: 1 + (after.get("to", 0) - 1) * p,
            "cosine": lambda p: after.get("to", 0) + (1 - after.get("to", 0)) * (1 + math.cos(math.pi * p)) / 2,
            "constant": lambda p: 1,
        }[kind]
        shape = lambda s: (s + 1) / (warmup + 1) if s < warmup else rest((s - warmup) / (STEPS - warmup))
        return lr_scheduler.LambdaLR(optimizer, shape)
    if kind == "step":
        return lr_scheduler.StepLR(optimizer, after["every"], after["factor"])
    if kind == "exponential":
        return lr_scheduler.ExponentialLR(optimizer, after["factor"])
    if kind == "linear":
        return lr_scheduler.LinearLR(optimizer, start_factor=1, end_factor=after["to"], total_iters=STEPS)
    if kind == "cosine":
        smallest = after["to"] * optimizer.defaults["lr"]
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS, eta_min=smallest)
    return lr_scheduler.LambdaLR(optimizer, lambda s: 1)


MODELS = {
    "classes": {
        "inputs": INPUTS,
        "outputs": 3,
        "layers": [
            {"kind": "dense", "units": 16},
            {"kind": "relu"},
            {"kind": "dense", "units": 8},
            {"kind": "tanh"},
            {"kind": "dense", "units": 3},
        ],
        "loss": {"kind": "softmaxCrossEntropy"},
        "init": "auto",
    },
    "numbers": {
        "inputs": INPUTS,
        "outputs": 2,
        "layers": [{"kind": "dense", "units": 16}, {"kind": "tanh"}, {"kind": "dense", "units": 2}],
        "loss": {"kind": "meanSquaredError"},
        "init": "auto",
    },
}
LAYERS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}
LOSSES = {"softmaxCrossEntropy": torch.nn.CrossEntropyLoss, "meanSquaredError": torch.nn.MSELoss}


def model_of(spec):
    modules, width = [], spec["inputs"]
    for layer in spec["layers"]:
        if layer["kind"] == "dense":
            modules.append(torch.nn.Linear(width, layer["units"]))
            width = layer["units"]
        else:
            modules.append(LAYERS[layer["kind"]]())
    return torch.nn.Sequential(*modules)


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def train(case, features, targets, first, dtype):
    spec = MODELS[case["model"]]
    model = model_of(spec).to(dtype)
    torch.nn.utils.vector_to_parameters(first.to(dtype, copy=True), model.parameters())
    features = features.to(dtype)
    targets = targets.to(dtype) if targets.is_floating_point() else targets
    optimizer = optimizer_of(case["optimizer"], case.get("l2", 0), model)
    scheduler = scheduler_of(case["schedule"], optimizer)
    loss_of = LOSSES[spec["loss"]["kind"]]()
    losses, rates = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model(features), targets)
        loss.backward()
        if "clipNorm" in case:
            torch.nn.utils.clip_grad_norm_(model.parameters(), case["clipNorm"])
        losses.append(loss.item())
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return losses[:20], rates, flat(model)


CONSTANT = {"warmup": 0, "after": {"kind": "constant"}}
ADAM = {"learningRate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
OPTIMIZERS = {
    "sgd": {"kind": "sgd", "learningRate": 0.2},
    "momentum": {"kind": "momentum", "learningRate": 0.05, "momentum": 0.9, "nesterov": False},
    "nesterov": {"kind": "momentum", "learningRate": 0.05, "momentum": 0.9, "nesterov": True},
    "adagrad": {"kind": "adagrad", "learningRate": 0.05, "epsilon": 1e-10},
    "rmsprop": {"kind": "rmsprop", "learningRate": 0.002, "decay": 0.99, "epsilon": 1e-8, "momentum": 0},
    "rmsprop-momentum": {"kind": "rmsprop", "learningRate": 0.0005, "decay": 0.9, "epsilon": 1e-8, "momentum": 0.9},
    "adam": {"kind": "adam", **ADAM},
    "adamw": {"kind": "adamw", **ADAM, "weightDecay": 0.1},
    "lamb": {"kind": "lamb", **ADAM, "learningRate": 0.02, "epsilon": 1e-6, "weightDecay": 0.05},
}
SCHEDULES = {
    "step": {"warmup": 0, "after": {"kind": "step", "every": 30, "factor": 0.3}},
    "exponential": {"warmup": 0, "after": {"kind": "exponential", "factor": 0.97}},
    "linear": {"warmup": 0, "after": {"kind": "linear", "to": 0.1}},
    "cosine": {"warmup": 0, "after": {"kind": "cosine", "to": 0.05}},
    "warmup": {"warmup": 12, "after": {"kind": "constant"}},
    "warmup-linear": {"warmup": 10, "after": {"kind": "linear", "to": 0.1}},
    "warmup-cosine": {"warmup": 7, "after": {"kind": "cosine", "to": 0}},
}


def cases():
    for name, optimizer in OPTIMIZERS.items():
        plain = {"optimizer": optimizer, "schedule": CONSTANT}
        for model in MODELS:
            yield {"name": f"{name}, {model}", "model": model, **plain}
        if "weightDecay" not in optimizer:
            yield {"name": f"{name}, L2", "model": "numbers", **plain, "l2": 0.05}
    for name, schedule in SCHEDULES.items():
        optimizer = OPTIMIZERS["momentum" if name in ("step", "linear", "warmup-linear") else "adam"]
        yield {"name": name, "model": "classes", "optimizer": optimizer, "schedule": schedule}
    for name, extra in {"sgd": {}, "nesterov": {"l2": 0.02}, "adam": {}, "adamw": {}, "lamb": {}}.items():
        clipped = {"optimizer": OPTIMIZERS[name], "schedule": CONSTANT, "clipNorm": 0.25, **extra}
        yield {"name": f"{name}, clipped{', L2' if extra else ''}", "model": "classes", **clipped}


def check_condition(name, weights, rounded):
    """A sample whose relu is within rounding of its kink takes one way or the other: choose another seed then."""
    difference = ((weights - rounded).abs().max() / weights.abs().max()).item()
    print(f"{name}: in single precision PyTorch itself is off by {difference:.1e}", file=sys.stderr)
    if difference > 1e-5:
        raise SystemExit(f"{name} hangs on the last bits: nothing to compare with")


def digits(values, count=9):
    """Nine digits give a float32 back; seven are more than the comparison asks for."""
    return [float(f"{value:.{count}g}") for value in values.flatten().tolist()]


def line(value):
    print(json.dumps(value, separators=(",", ":")))


def main():
    features = torch.randn(SAMPLES, INPUTS).float()
    hidden = torch.tanh(features @ torch.randn(INPUTS, 5) / 3)
    targets = {
        "classes": (hidden @ torch.randn(5, 3) + torch.randn(SAMPLES, 3) / 5).argmax(1),
        "numbers": (hidden @ torch.randn(5, 2) + torch.randn(SAMPLES, 2) / 10).float(),
    }
    first = {name: flat(model_of(spec)) for name, spec in MODELS.items()}
    first["classes"][INPUTS * 16 : INPUTS * 16 + 16] = 0  # a bias of zeros: LAMB's trust ratio is 1 there
    line(
        {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "steps": STEPS,
            "samples": SAMPLES,
            "features": digits(features),
            "models": {
                name: {"spec": spec, "targets": digits(targets[name].float()), "weights": digits(first[name])}
                for name, spec in MODELS.items()
            },
        }
    )
    for case in cases():
        given = (case, features, targets[case["model"]], first[case["model"]])
        losses, rates, weights = train(*given, torch.float64)
        check_condition(case["name"], weights, train(*given, torch.float32)[2].double())
        scheduled = case["schedule"] != CONSTANT
        line({**case, "losses": [float(f"{loss:.12g}") for loss in losses], **({"rates": rates} if scheduled else {}), "weights": digits(weights, 7)})


main()
