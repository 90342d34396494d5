#!/usr/bin/env python3
"""Makes the small files of `fixtures/` that PyTorch writes, or wrote: python3 make_torch_fixtures.py

One tiny network of torchvision's `alexnet` pattern in all the forms that its weights have come in. `tiny-logits.json`
holds its scores for the picture of torchvision-narrow-io.safetensors, by PyTorch in double precision.
"""
import io, json, os, pathlib, pickle, struct, tarfile, warnings
from collections import OrderedDict
import torch, torch.nn as nn
from safetensors.torch import load_file

warnings.filterwarnings("ignore", "TypedStorage is deprecated")
here = pathlib.Path(__file__).parent / "fixtures"


def alexnet(widths, hidden, classes):
    a, b, c, d, e = widths
    relu, pool = lambda: nn.ReLU(), lambda: nn.MaxPool2d(3, 2)
    net = nn.Module()
    net.features = nn.Sequential(
        nn.Conv2d(3, a, 11, 4, 2), relu(), pool(), nn.Conv2d(a, b, 5, padding=2), relu(), pool(),
        nn.Conv2d(b, c, 3, padding=1), relu(), nn.Conv2d(c, d, 3, padding=1), relu(), nn.Conv2d(d, e, 3, padding=1), relu(), pool())
    net.classifier = nn.Sequential(
        nn.Dropout(), nn.Linear(e * 36, hidden), relu(), nn.Dropout(), nn.Linear(hidden, hidden), relu(), nn.Linear(hidden, classes))
    return net


def scores(state, x):
    state = {name: tensor.double() for name, tensor in state.items()}
    net = alexnet((2, 3, 4, 3, 2), 4, 5).double().eval()
    net.load_state_dict(state)
    x = nn.functional.adaptive_avg_pool2d(net.features(x.double()), 6)
    return net.classifier(x.flatten(1))[0].tolist()


class Addressed(pickle.Pickler):
    """Writes tensors as the first form did: by the address of what lies in another member."""

    def __init__(self, file, tensors):
        super().__init__(file, protocol=2)
        self.tensors = tensors

    def persistent_id(self, obj):
        if torch.is_tensor(obj):
            self.tensors[obj._cdata] = obj
            return str(obj._cdata)


def save_tar(state, path):
    """As `torch.save` of PyTorch 0.1.9 did; `torch.load` still reads it, which is checked below."""
    tensors, storages, views, files = OrderedDict(), OrderedDict(), [], {}
    files["pickle"] = io.BytesIO()
    Addressed(files["pickle"], tensors).dump(state)
    files["tensors"] = io.BytesIO()
    pickle.dump(len(tensors), files["tensors"], protocol=2)
    for key, tensor in tensors.items():
        storage = tensor.storage()
        storages[storage.data_ptr()] = storage
        pickle.dump((key, storage.data_ptr(), getattr(torch, tensor.type().split(".")[-1])), files["tensors"], protocol=2)
        files["tensors"].write(struct.pack("<i", tensor.dim()) + b"\xaa" * 4)
        files["tensors"].write(struct.pack(f"<{tensor.dim()}q", *tensor.size()) + struct.pack(f"<{tensor.dim()}q", *tensor.stride()))
        files["tensors"].write(struct.pack("<q", tensor.storage_offset()))
    files["storages"] = io.BytesIO()
    pickle.dump(len(storages), files["storages"], protocol=2)
    for key, storage in storages.items():
        kind = {torch.float32: torch.FloatStorage, torch.float64: torch.DoubleStorage}[storage.dtype]
        pickle.dump((key, "cpu", kind), files["storages"], protocol=2)
        values = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage, 0, (len(storage),), (1,))
        files["storages"].write(struct.pack("<q", len(storage)) + values.numpy().tobytes())
    pickle.dump(views, files["storages"], protocol=2)
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name in ["storages", "tensors", "pickle"]:
            info = tarfile.TarInfo(name)
            info.size = files[name].tell()
            files[name].seek(0)
            tar.addfile(info, files[name])


def save(obj, name, **options):
    torch.save(obj, here / name, **options)


if __name__ == "__main__":
    torch.manual_seed(2012)
    net = alexnet((2, 3, 4, 3, 2), 4, 5)
    state = net.state_dict()
    for tensor in state.values():
        tensor.mul_(2)  # PyTorch's own initial values leave scores of which the last bias is nearly all
    image = load_file(here / "torchvision-narrow-io.safetensors")["image"]
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    x = (image / 255 - mean) / std
    json.dump(dict(float=scores(state, x), half=scores({k: v.half() for k, v in state.items()}, x),
                   bfloat16=scores({k: v.bfloat16() for k, v in state.items()}, x)), open(here / "tiny-logits.json", "w"))

    save(state, "tiny-zip.pth")
    save(state, "tiny-stream.pth", _use_new_zipfile_serialization=False)
    save_tar(state, here / "tiny-tar.pth")
    for loaded in [torch.load(here / "tiny-tar.pth", weights_only=False), torch.load(here / "tiny-stream.pth")]:
        assert all(torch.equal(loaded[name], state[name]) for name in state)

    half = {name: tensor.half() for name, tensor in state.items()}
    save(half, "tiny-half.pth")
    save({name: tensor.bfloat16() for name, tensor in state.items()}, "tiny-bfloat16.pth")
    save({name: tensor.double() for name, tensor in state.items()}, "tiny-double-stream.pth", _use_new_zipfile_serialization=False)
    save_tar(OrderedDict((name, tensor.double()) for name, tensor in state.items()), here / "tiny-double-tar.pth")

    # One storage for all, every matrix transposed in it: offsets and strides.
    flat = torch.cat([tensor.t().reshape(-1) if tensor.dim() == 2 else tensor.reshape(-1) for tensor in state.values()])
    shared, at = OrderedDict(), 0
    for name, tensor in state.items():
        part = flat[at:at + tensor.numel()]
        shared[name] = part.view(tensor.shape[::-1]).t() if tensor.dim() == 2 else part.view(tensor.shape)
        at += tensor.numel()
    save(shared, "tiny-shared-zip.pth")
    save(shared, "tiny-shared-stream.pth", _use_new_zipfile_serialization=False)
    save_tar(shared, here / "tiny-shared-tar.pth")

    # As PyTorch's ImageNet example trains AlexNet: DataParallel around the convolutions, more beside the weights.
    parallel = OrderedDict((name.replace("features.", "features.module."), nn.Parameter(tensor)) for name, tensor in state.items())
    optimiser = torch.optim.SGD(parallel.values(), 0.1, momentum=0.9)
    save(dict(epoch=90, arch="alexnet", state_dict=parallel, best_acc1=torch.tensor(56.5), optimizer=optimiser.state_dict()), "tiny-example.pth")
    save(OrderedDict(("module." + name, tensor) for name, tensor in state.items()), "tiny-parallel-stream.pth", _use_new_zipfile_serialization=False)

    # What must be refused. Unpickled, the first would make a file.
    class Exploit:
        def __reduce__(self):
            return os.system, ("touch /tmp/tandem-was-here",)

    save(OrderedDict([("features.0.weight", Exploit())]), "exploit-zip.pth")
    save(OrderedDict([("features.0.weight", Exploit())]), "exploit-stream.pth", _use_new_zipfile_serialization=False)
    save(net, "whole-module.pth")
