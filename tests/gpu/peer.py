#!/usr/bin/env python3
"""The training step that `mimc bench` measures, in PyTorch: timm's encoders with their fused attention, fused AdamW.

    pip install torch timm
    python tests/gpu/peer.py --model swin_b --batch 128 --device cuda --dtype bf16 --compile

Forward, backward, clipping and update on one batch of noise that stays on the device. Prints a line of JSON with the keys of
`mimc bench --json`.
"""

import argparse
import json
import resource
import statistics
import time

import timm
import torch
from torch import nn

CLIP = 5.0
HIDDEN_UNIT = 32
HIDDEN_SHARE = 0.6

# As the recipes of the same names say.
SWIN = {
    "swin_t": dict(embed_dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), window_size=6),
    "swin_b": dict(embed_dim=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32), window_size=6),
    "swin_l": dict(embed_dim=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48), window_size=12),
}
VIT = {
    "vit_s": dict(embed_dim=384, depth=12, num_heads=6),
    "vit_b": dict(embed_dim=768, depth=12, num_heads=12),
}


class Swin(nn.Module):
    """Tokens of 4 x 4 pixels in; a map of 32 x 32 pixels a place out."""

    size, patch, stride = 192, 4, 32

    def __init__(self, **shape):
        super().__init__()
        self.body = timm.models.swin_transformer.SwinTransformer(
            img_size=self.size, num_classes=0, drop_path_rate=0.0, **shape
        )
        self.token_width = shape["embed_dim"]
        self.width = self.body.num_features

    def forward(self, image, hide):
        tokens = self.body.patch_embed(image)
        return self.body.norm(self.body.layers(hide(tokens))).permute(0, 3, 1, 2)


class Vit(nn.Module):
    """Tokens of 16 x 16 pixels in and out, with a class token between."""

    size, patch, stride = 224, 16, 16

    def __init__(self, **shape):
        super().__init__()
        self.body = timm.models.vision_transformer.VisionTransformer(
            img_size=self.size, patch_size=self.patch, num_classes=0, init_values=0.1, **shape
        )
        self.token_width = self.width = shape["embed_dim"]

    def forward(self, image, hide):
        side = self.size // self.patch
        tokens = self.body.patch_embed(image)
        grid = hide(tokens.unflatten(1, (side, side))).flatten(1, 2)
        tokens = self.body.norm(self.body.blocks(self.body._pos_embed(grid)))
        return tokens[:, self.body.num_prefix_tokens :].transpose(1, 2).unflatten(2, (side, side))


class MaskedModel(nn.Module):
    """Hides tokens, encodes, predicts pixels, and returns the mean error of those that were hidden."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.mask_token = nn.Parameter(torch.empty(encoder.token_width).normal_(std=0.02))
        pixels = 3 * encoder.stride**2
        self.head = nn.Sequential(nn.Conv2d(encoder.width, pixels, kernel_size=1), nn.PixelShuffle(encoder.stride))

    def forward(self, image, mask):
        def hide(tokens):
            hidden = enlarged(mask, HIDDEN_UNIT // self.encoder.patch).unsqueeze(-1).to(tokens.dtype)
            return torch.lerp(tokens, self.mask_token.to(tokens.dtype).expand_as(tokens), hidden.expand_as(tokens))

        predicted = self.head(self.encoder(image, hide)).float()
        hidden = enlarged(mask, HIDDEN_UNIT).unsqueeze(1)
        error = (predicted - image).abs() * hidden
        return error.sum() / (3 * hidden.sum() + 1e-5)


def enlarged(mask, by):
    return mask.repeat_interleave(by, dim=1).repeat_interleave(by, dim=2)


def random_mask(batch, size, device):
    side = size // HIDDEN_UNIT
    order = torch.rand(batch, side * side, device=device).argsort(dim=1)
    return (order < round(HIDDEN_SHARE * side * side)).float().view(batch, side, side)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=[*SWIN, *VIT], default="swin_b")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    on_gpu = options.device != "cpu"

    torch.manual_seed(0)
    encoder = Swin(**SWIN[options.model]) if options.model in SWIN else Vit(**VIT[options.model])
    model = MaskedModel(encoder).to(options.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)
    image = torch.randn(options.batch, 3, encoder.size, encoder.size, device=options.device)
    mask = random_mask(options.batch, encoder.size, options.device)
    run = torch.compile(model) if options.compile else model

    def seconds_of_a_step():
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(options.device, torch.bfloat16, enabled=options.dtype == "bf16"):
            loss = run(image, mask)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - started

    first = seconds_of_a_step()
    for _ in range(options.warmup):
        seconds_of_a_step()
    measured = [seconds_of_a_step() for _ in range(options.steps)]
    median = statistics.median(measured)
    if on_gpu:
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {
        "peer": f"torch {torch.__version__}" + (", compiled" if options.compile else ""),
        "model": options.model,
        "batch": options.batch,
        "device": options.device,
        "dtype": options.dtype,
        "first_step_s": round(first, 3),
        "step_s": round(median, 4),
        "step_min_s": round(min(measured), 4),
        "images_per_s": round(options.batch / median, 2),
        "peak_gb": round(peak / 1e9, 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
