"""See compare-import-with-torchvision.sh."""
import json, os, pathlib, subprocess, sys, tempfile
import numpy as np
import torch, torchvision
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import v2

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "crates/tandem-formats/tests"))
from make_torch_fixtures import save_tar

TANDEM = os.environ["TANDEM"]
SIZES = [(256, 256), (256, 256), (500, 375), (375, 500), (640, 480), (1024, 768), (768, 1024), (257, 256), (255, 300), (224, 224),
         (100, 80), (64, 64), (301, 1000), (1999, 301), (1600, 1200), (2048, 2047), (333, 777), (400, 256), (800, 600), (1280, 720)]


def picture(random, width, height):
    """Clouds, edges and grain: something at every scale, in colour."""
    total = np.zeros((height, width, 3), np.float32)
    for cells in [2, 5, 13, 40]:
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.BICUBIC), np.float32)
    total /= 4
    for _ in range(6):
        x, y, w, h = random.integers(0, width), random.integers(0, height), random.integers(1, width), random.integers(1, height)
        total[y:y + h, x:x + w] = 0.5 * total[y:y + h, x:x + w] + 0.5 * random.integers(0, 256, 3)
    total += random.normal(0, 6, total.shape)
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def pictures(folder, random):
    """Twenty files as Pillow writes them: JPEG of all kinds, PNG in colour, grey and with a palette."""
    files = []
    for i, (width, height) in enumerate(SIZES):
        image = picture(random, width, height)
        name = folder / f"{i:02}-{width}x{height}.{'png' if i % 3 == 0 else 'jpg'}"
        if i == 3:
            image = image.convert("L")
        if i == 6:
            image = image.quantize(200)
        if name.suffix == ".png":
            image.save(name)
        elif i == 4:
            image.convert("L").save(name, quality=90)
        else:
            image.save(name, quality=[95, 60, 85][i % 3], progressive=i % 2 == 0, subsampling=[0, 1, 2][i % 3])
        files.append(name)
    return files


def tandem(*arguments):
    return subprocess.run([TANDEM, "-q", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def predicted(run, files):
    lines = tandem("predict", "--weights", run, "--json", "--top", 1000, *files).splitlines()
    rows = np.zeros((len(files), 1000))
    for row, line in zip(rows, lines, strict=True):
        for prediction in json.loads(line)["predictions"]:
            row[prediction["class"]] = prediction["probability"]
    return rows


transform = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True),
                        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    random = np.random.default_rng(2012)
    files = pictures(folder, random)
    x = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])

    torch.manual_seed(2012)
    net = torchvision.models.alexnet(weights=None).eval()
    with torch.no_grad():
        # Random weights tell nothing apart: every class would have a probability of 0.001 whatever the picture.
        for layer in net.modules():
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        logits = net(x)
        net.classifier[6].bias -= logits.mean(0)
        net.classifier[6].weight *= 3 / (logits - logits.mean(0)).std()
        net.classifier[6].bias *= 3 / (logits - logits.mean(0)).std()
        wanted = net.double()(x.double()).log_softmax(1).numpy()
        net.float()

    state = {name: tensor.detach() for name, tensor in net.state_dict().items()}
    torch.save(net.state_dict(), folder / "zip.pth")
    torch.save(net.state_dict(), folder / "stream.pth", _use_new_zipfile_serialization=False)
    save_tar(net.state_dict(), folder / "tar.pth")
    save_file(state, folder / "alexnet.safetensors")

    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}; {sum(t.numel() for t in state.values()):,} parameters")
    print(f"likeliest class of each picture: probability {np.exp(wanted).max(1).min():.2f} to {np.exp(wanted).max(1).max():.2f}, "
          f"{len(set(wanted.argmax(1)))} classes among {len(files)} pictures")
    bad, first = False, None
    for name in ["zip.pth", "stream.pth", "tar.pth", "alexnet.safetensors"]:
        run = folder / name.replace(".", "-")
        tandem("import", folder / name, "--out", run)
        found = predicted(run, files)
        # The first two files are 256 x 256, the first of them a PNG: no scaling, and the same pixels here and there.
        same = np.abs(np.log(found[:1]) - wanted[:1]).max()
        apart = np.abs(found - np.exp(wanted)).max()
        alike = (found.argmax(1) == wanted.argmax(1)).sum()
        print(f"{name:20} the same pixels: log-probabilities to {same:.1e}   {len(files)} files: probabilities to {apart:.1e}, "
              f"{alike} of {len(files)} likeliest classes the same")
        bad |= same > 1e-4 or apart > 1e-3
        if first is None:
            first = found
        bad |= not (found == first).all()
    if first is not None:
        worst = np.abs(first - np.exp(wanted)).max(1)
        for file, apart in zip(files, worst):
            print(f"  {file.name:22} {apart:.1e}")
    sys.exit(int(bad))
