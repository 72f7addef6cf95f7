"""The two networks of the studio engine in torch, and their export as ONNX files of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WIDTHS = {"coarse": (32, 48, 64, 96, 96), "fine": (32, 48, 64, 96)}
DEPTHS = {"coarse": (0, 0, 1, 3, 3), "fine": (0, 0, 2, 4)}
"""How many residual blocks follow each stage on the way down; the small stages are where shapes are completed."""


def build(name: str) -> Any:
    """A U of 3 x 3 convolutions that starts and ends at half the size of the picture."""
    import torch
    from torch import nn
    from torch.nn import functional

    def block(inside: int, outside: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(True)
        )

    class Residual(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first = block(width, width)
            self.second = nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
            )
            # It starts as nothing, so that networks trained without it can be resumed.
            nn.init.zeros_(self.second[1].weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.relu(x + self.second(self.first(x)))

    class Net(nn.Module):
        def __init__(self, channels: int, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
            super().__init__()
            before = (channels * 4, *widths[:-1])
            self.down = nn.ModuleList(
                nn.Sequential(block(b, w), block(w, w)) if k else block(b, w)
                for k, (b, w) in enumerate(zip(before, widths, strict=True))
            )
            self.deep = nn.ModuleList(
                nn.Sequential(*(Residual(w) for _ in range(n))) for w, n in zip(widths, depths, strict=True)
            )
            self.lift = nn.ModuleList(nn.Conv2d(widths[k + 1], widths[k], 1) for k in range(len(widths) - 1))
            self.up = nn.ModuleList(block(w, w) for w in widths[:-1])
            self.head = nn.Conv2d(widths[0], 4, 3, padding=1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            x = functional.pixel_unshuffle(image, 2)
            kept = []
            for k, stage in enumerate(self.down):
                x = self.deep[k](stage(functional.max_pool2d(x, 2) if k else x))
                kept.append(x)
            for k in range(len(self.up) - 1, -1, -1):
                raised = functional.interpolate(self.lift[k](x), scale_factor=2.0, mode="nearest")
                x = self.up[k](kept[k] + raised)
            return functional.pixel_shuffle(self.head(x), 2)

    return Net(7, WIDTHS[name], DEPTHS[name])


def export(folder: Path, into: Path) -> None:
    """Write both networks as ONNX: batch norm folded into the convolutions, weights stored as float16."""
    import onnx
    import torch
    from onnx import helper, numpy_helper
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    state = torch.load(folder / "studio_networks.pt", weights_only=True)
    for name in WIDTHS:
        net = build(name)
        net.load_state_dict(state[name])
        net.eval()
        for module in list(net.modules()):
            if (
                isinstance(module, torch.nn.Sequential)
                and len(module)
                and isinstance(module[0], torch.nn.Conv2d)
            ):
                module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), torch.nn.Identity()
        path = into / f"studio_{name}.onnx"
        model = torch.nn.Sequential(net, torch.nn.Sigmoid())
        axes = {"image": {2: "height", 3: "width"}, "share": {2: "height", 3: "width"}}
        sample = torch.zeros(1, 7, 64, 64)
        torch.onnx.export(
            model, (sample,), str(path), input_names=["image"], output_names=["share"],
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
        graph = onnx.load(str(path))
        casts = []
        for tensor in graph.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
                half = numpy_helper.from_array(
                    numpy_helper.to_array(tensor).astype(np.float16), tensor.name + "_half"
                )
                casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
                tensor.CopyFrom(half)
        nodes = [*casts, *graph.graph.node]
        del graph.graph.node[:]
        graph.graph.node.extend(nodes)
        graph.doc_string = "Crown studio engine; made by training/networks.py"
        onnx.checker.check_model(graph)
        onnx.save(graph, str(path))
        print(f"{path}: {path.stat().st_size} bytes")
