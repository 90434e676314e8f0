"""Runs emitted modules on the numbers of their cases: for each folder one line of JSON, how far they are from mimc's."""

import importlib.util
import json
import sys

import torch

torch.set_num_threads(1)


def emitted(folder):
    spec = importlib.util.spec_from_file_location("emitted", f"{folder}/module.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def far(ours, theirs, least=0.0):
    """How far two tensors are apart, over the size of the second."""
    size = max(theirs.double().norm().item(), least)
    return (ours.double() - theirs.double()).norm().item() / max(size, 1e-30)


def compare(folder):
    module = emitted(folder)
    with open(f"{folder}/case.json") as file:
        case = json.load(file)
    numbers = module.load(f"{folder}/numbers.safetensors")
    model = getattr(module, case["model"])()
    checkpoint = module.load(f"{folder}/checkpoint.safetensors")
    started = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    model.load_state_dict(checkpoint, strict=True)

    draws = iter(case["draws"])
    torch_rand = torch.rand

    def rand(shape):
        drawn = numbers[next(draws)]
        long = [[size for size in sizes if size > 1] for sizes in (shape, drawn.shape)]
        assert long[0] == long[1], (shape, drawn.shape)
        return drawn.reshape(shape)

    fed = {name: numbers[f"fed.{name}"] for name in case["fed"]}
    torch.rand = rand
    outputs = model(numbers["image"], **fed)
    torch.rand = torch_rand
    assert next(draws, None) is None, "every draw is drawn"
    outputs["loss"].backward()

    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    theirs = {name: numbers[f"gradient.{name}"] for name in checkpoint}
    count = sum(gradient.numel() for gradient in theirs.values())
    whole = sum(gradient.double().square().sum().item() for gradient in theirs.values())
    typical = (whole / max(count, 1)) ** 0.5
    # The gradient of a weight that changes nothing is rounding, as large as it likes.
    offs = {name: far(gradients[name], theirs[name], 1e-3 * typical * theirs[name].numel() ** 0.5) for name in theirs}
    where = max(offs, key=offs.get)

    groups = module.parameter_groups(model, 0.05)
    names = {id(weight): name for name, weight in model.named_parameters()}
    decayed = sorted(names[id(weight)] for weight in groups[0]["params"])
    assert groups[0]["weight_decay"] == 0.05 and groups[1]["weight_decay"] == 0.0
    assert decayed == sorted(case["decayed"]), set(decayed) ^ set(case["decayed"])

    again = {}
    for name in case["given"]:
        # What the caller gives in the place of what the model draws.
        again[name] = numbers[f"output.{name}"]
    model.eval()
    repeated = None
    if again and not case["drops"]:
        repeated = far(model(numbers["image"], **{**fed, **again})["loss"].detach(), numbers["loss"][0])
    # How the weights start: mean and spread of each, to be compared with what the recipe says.
    start = {name: [weight.mean().item(), weight.std(correction=0).item(), weight.abs().max().item()] for name, weight in started.items()}
    return {
        "loss": far(outputs["loss"].detach(), numbers["loss"][0]),
        "outputs": {name: far(outputs[name].detach(), numbers[f"output.{name}"]) for name in case["outputs"]},
        "gradient": offs[where],
        "where": where,
        "given": repeated,
        "start": start,
    }


for folder in sys.argv[1:]:
    print(json.dumps(compare(folder)), flush=True)
