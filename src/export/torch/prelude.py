import json
import math
import re
import struct
import sys

import torch
from torch import nn


def fill(value):
    return lambda weight: nn.init.constant_(weight, value)


zeros, ones = fill(0.0), fill(1.0)


def normal(std):
    return lambda weight: nn.init.normal_(weight, 0.0, std)


def trunc_normal(std, bound):
    """Redrawn outside of -bound to bound."""
    return lambda weight: nn.init.trunc_normal_(weight, 0.0, std, -bound, bound)


def uniform(bound):
    return lambda weight: nn.init.uniform_(weight, -bound, bound)


def add_weight(module, name, shape, init, decay=None):
    """A weight of a module; weight decay is for those of rank above 1, unless said otherwise."""
    weight = nn.Parameter(torch.empty(shape))
    with torch.no_grad():
        init(weight)
    module._parameters[name] = weight  # whatever its name: some are those of methods
    decays = len(shape) > 1 if decay is None else decay
    module.decays = {**getattr(module, "decays", {}), name: decays}


def groups(side, rest):
    """The factors of each axis: "b (h p) 1" is [["b"], ["h", "p"], []]; `...` stands for `rest` axes."""
    found, inside = [], None
    for word in re.findall(r"[()]|[^\s()]+", side):
        if word == "(":
            inside = []
        elif word == ")":
            found.append(inside)
            inside = None
        elif word == "...":
            found += [[f"...{n}"] for n in range(rest)]
        elif inside is not None:
            inside += [word] if word != "1" else []
        else:
            found.append([word] if word != "1" else [])
    return found


def split(x, pattern, sizes):
    """x with one axis for each factor, their names, the axes that are wanted, and the sizes of all factors."""
    left, right = pattern.split("->")
    rest = x.dim() - len(groups(left, 0))
    left, right = groups(left, rest), groups(right, rest)
    for axis, size in zip(left, x.shape):
        known = math.prod(sizes[factor] for factor in axis if factor in sizes)
        for factor in axis:
            sizes.setdefault(factor, size // known)
    names = [factor for axis in left for factor in axis]
    return x.reshape([sizes[factor] for factor in names]), names, right, sizes


def rearrange(x, pattern, **sizes):
    """Splits, reorders and composes axes, as einops does; along those that are new on the right x repeats."""
    x, names, right, sizes = split(x, pattern, sizes)
    wanted = [factor for axis in right for factor in axis]
    x = x.permute([names.index(factor) for factor in wanted if factor in names])
    x = x[tuple(slice(None) if factor in names else None for factor in wanted)]
    x = x.expand([sizes[factor] for factor in wanted])
    return x.reshape([math.prod(sizes[factor] for factor in axis) for axis in right])


def reduce(x, pattern, function):
    """Brings the axes that the right side leaves out down to one number; `1` keeps an axis of size 1."""
    x, names, right, sizes = split(x, pattern, {})
    wanted = [factor for axis in right for factor in axis]
    gone = [n for n, factor in enumerate(names) if factor not in wanted]
    x = function(x, dim=gone) if gone else x
    names = [factor for factor in names if factor in wanted]
    x = x.permute([names.index(factor) for factor in wanted])
    return x.reshape([math.prod(sizes[factor] for factor in axis) for axis in right])


def softmax(x, axes):
    """Over several axes at once."""
    powers = (x - x.amax(axes, keepdim=True).detach()).exp()
    return powers / powers.sum(axes, keepdim=True)


def skip(x, axes, rate, training):
    """Sets a random share of the axes to zero and scales up the rest: dropout, or along the images stochastic depth."""
    if not training or rate == 0:
        return x
    if rate == 1:
        return 0 * x
    shape = [size if axis - x.dim() in axes else 1 for axis, size in enumerate(x.shape)]
    kept = (torch.rand(shape) >= rate).to(x.dtype)
    return x * (kept / (1 - rate))


def fed(module, name):
    """What the caller of the model gives under a name."""
    if module.given[name] is None:
        raise TypeError(f"the model has to be given `{name}`")
    return module.given[name]


def parameter_groups(model, decay):
    """Groups for an optimizer: the weights that decay, and those that do not."""
    found = {True: [], False: []}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            found[module.decays[name]].append(weight)
    return [{"params": found[True], "weight_decay": decay}, {"params": found[False], "weight_decay": 0.0}]


def load(path):
    """The weights of a checkpoint by name, without the optimizer's state: for `model.load_state_dict`."""
    weights = {}
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__" or name.startswith("optimizer."):
                continue
            start, end = entry["data_offsets"]
            file.seek(8 + length + start)
            numbers = torch.frombuffer(bytearray(file.read(end - start)), dtype=torch.float32)
            weights[name] = numbers.reshape(entry["shape"])
    return weights
