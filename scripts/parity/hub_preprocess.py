"""Preprocessing of checkpoints against the libraries that made them: the image processors of transformers, with Pillow
and with torchvision as their backend, and the evaluation transforms of timm and open_clip.

    python scripts/parity/hub_preprocess.py           compares many processors on pictures of many sizes
    python scripts/parity/hub_preprocess.py --golden  writes test/golden/hub: what the libraries give for small pictures

Needs what scripts/parity/pyenv.sh hub installs (torchvision, transformers, timm, open_clip, Pillow), and Node with the
built package (`make wasm`).

Each case is a preprocessor_config.json, a config.json or a pretrained_cfg. Our side translates it
(web/hub/preprocess.js) and runs the core. Differences are in levels, 1/255 of the pixels' range:

  Pillow, timm and open_clip  none: equal 8-bit pixels, so 0.01 for the rounding of floats
  DINOv3                      it resizes floats, and torchvision alone has it: 0.01
  torchvision's backend       2 levels, on 1 % of a case's values; most are noise, photos differ by 1. Left out:
                              nearest (ties), cases that pad (an odd border goes to the other side than with Pillow's
                              backend), and pictures that Pillow 13 resizes down before across: there a fifth of the
                              values differ between the two backends, those of noise by up to 20 levels

test/golden/hub/preprocess.json  cases with the floats of the library, for test/web/hub_preprocess.test.js
test/golden/hub/fit.txt         w h seed | width height filter fit crop_pct shortest_edge longest_edge resize_width
                                resize_height floor_offset | crc32 of the 8-bit result, for test/c/test_image.c
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from golden_image import FILTER_NAMES, Random, random_picture, scene

os.environ["HF_HUB_OFFLINE"] = "1"
ROOT = Path(__file__).parents[2]
OUT = ROOT / "test" / "golden" / "hub"
RUN = ROOT / "scripts" / "parity" / "hub_preprocess.mjs"
ROUNDING, SHARE = 0.01, 0.01
FILTERS = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]  # by Pillow's numbers
ODD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]

# ---- the libraries ----


def transformers_pixels(config, processor, backend, pictures):
    """The processor that AutoImageProcessor finds in a folder with these files."""
    from transformers import AutoImageProcessor

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        Path(folder, "preprocessor_config.json").write_text(json.dumps(processor or {}))
        found = AutoImageProcessor.from_pretrained(folder, backend=backend)
    return [np.asarray(found(picture, return_tensors="np")["pixel_values"][0], np.float32) for picture in pictures]


def timm_pixels(cfg, pictures):
    from timm.data import create_transform, resolve_data_config

    if cfg.get("interpolation") == "random":  # timm's own evaluation transform has no such filter (KeyError)
        cfg = cfg | dict(interpolation="bilinear")
    thin = cfg.get("crop_mode") == "border"  # where timm asks Pillow for a side of 0, and fails; ours has 1
    transform = create_transform(**resolve_data_config({}, pretrained_cfg=cfg), is_training=False)
    return [transform(p).numpy() if not thin or max(p.size) < 50 * min(p.size) else None for p in pictures]


def open_clip_pixels(config, pictures):
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    size = config["model_cfg"]["vision_cfg"]["image_size"]
    cfg = merge_preprocess_dict(PreprocessCfg(size=size), config["preprocess_cfg"])
    transform = image_transform_v2(PreprocessCfg(**cfg), is_train=False)
    return [transform(p).numpy() for p in pictures]


# ---- cases ----


def of_type(name, **keys):
    return dict(config={}, processor=dict(image_processor_type=name, **keys))


def sizes_of(edge, crop):
    return dict(size={"shortest_edge": edge}, crop_size={"height": crop, "width": crop})


def default_cases():
    """Class defaults, found by the model_type and by the names that classes had."""
    for model in """vit vit_mae vit_msn ijepa swin swinv2 deit beit data2vec-vision dinov2 hiera clip siglip convnext
                    convnextv2 cvt levit mobilevit mobilevitv2 dinov3_vit pvt pvt_v2 efficientnet""".split():
        yield dict(config=dict(model_type=model), processor=None)
    kinds = "ViT DeiT Beit Bit CLIP Siglip ConvNext Levit MobileViT DINOv3ViT Pvt EfficientNet".split()
    for kind in kinds:
        yield of_type(f"{kind}ImageProcessorFast")
    for kind in ("ViT", "DeiT", "Beit", "CLIP", "ConvNext", "Levit", "MobileViT"):
        yield dict(config={}, processor=dict(feature_extractor_type=f"{kind}FeatureExtractor"))
    yield dict(config=dict(model_type="vit"), processor=dict(do_normalize=True, size=64))


def switch_cases():
    """null switches a step off, and is no default; default_to_square says what an integer means."""
    for key in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
        for value in (None, False):
            yield of_type("DeiTImageProcessor", size=64, crop_size=48, **{key: value})
    yield of_type("MobileViTImageProcessor", size=64, crop_size=48, do_flip_channel_order=None)
    yield of_type("EfficientNetImageProcessor", size=48, include_top=None)
    yield of_type("CLIPImageProcessor", size=64, crop_size=48, default_to_square=True)
    yield of_type("ViTImageProcessor", size=64, do_center_crop=True, crop_size=48, default_to_square=False)
    yield of_type("BeitImageProcessor", size=64, do_center_crop=True, crop_size=48, default_to_square=None)


def plain_cases():
    """Processors that differ in their defaults alone: sizes, filters, steps left out, nulls."""
    for kind in ("ViT", "DeiT", "Beit", "Pvt", "DINOv3ViT", "EfficientNet"):
        yield of_type(f"{kind}ImageProcessor", size=48)
        yield of_type(f"{kind}ImageProcessor", size=[40, 56], image_mean=ODD[0], image_std=ODD[1])
        yield of_type(f"{kind}ImageProcessor", size=72, do_center_crop=True, crop_size=dict(height=63, width=57))
        yield of_type(f"{kind}ImageProcessor", size=48, rescale_factor=0.5, do_normalize=False)
        if kind != "DINOv3ViT":  # it refuses pixels that are not rescaled, and has no Pillow
            yield of_type(f"{kind}ImageProcessor", size=40, do_center_crop=True, crop_size=47)
            yield of_type(f"{kind}ImageProcessor", size=48, do_rescale=False, image_mean=[123.7, 116.3, 103.5])
            yield of_type(f"{kind}ImageProcessor", size=48, do_resize=False, do_center_crop=True, crop_size=99)
        for resample in (1, 2, 3) if kind == "DINOv3ViT" else range(6):
            yield of_type(f"{kind}ImageProcessor", size=dict(height=61, width=47), resample=resample)
    yield of_type("SiglipImageProcessor", size=dict(height=56, width=40))
    yield of_type("SiglipImageProcessor", size=32, do_center_crop=True, crop_size=32)
    yield of_type("EfficientNetImageProcessor", size=48, rescale_factor=1 / 127.5, rescale_offset=True)
    yield of_type("EfficientNetImageProcessor", size=48, rescale_offset=True, include_top=False)
    yield of_type("EfficientNetImageProcessor", size=48, do_normalize=False)
    yield of_type("EfficientNetImageProcessor", size=48, do_rescale=False, rescale_offset=True, image_mean=[9, 8, 7])


def cropping_cases():
    """Processors that keep the aspect ratio."""
    for kind in ("Bit", "CLIP", "Levit", "MobileViT"):
        name = f"{kind}ImageProcessor"
        for edge, crop in ((64, 56), (57, 56), (59, 56), (62, 55), (63, 56), (236, 224), (40, 47), (40, 46)):
            yield of_type(name, **sizes_of(edge, crop))
        yield of_type(name, size=60, crop_size=[40, 57])
        yield of_type(name, size=[50, 70], crop_size=[40, 57], image_mean=ODD[0], image_std=ODD[1])
        yield of_type(name, size=[50, 70], do_center_crop=False)
        yield of_type(name, size=60, crop_size=60, do_normalize=False)
        yield of_type(name, size=60, crop_size=48, do_rescale=False)
        yield of_type(name, do_resize=False, crop_size=dict(height=48, width=64))
        for resample in range(6):
            yield of_type(name, size=60, crop_size=48, resample=resample)
    for kind in ("Bit", "CLIP", "MobileViT"):
        for shortest, longest in ((64, 100), (64, 70), (33, 400)):
            size = dict(shortest_edge=shortest, longest_edge=longest)
            yield of_type(f"{kind}ImageProcessor", size=size, crop_size=56)
    yield of_type("MobileViTImageProcessor", size=64, crop_size=56, do_flip_channel_order=False)
    for edge, share in ((224, 0.875), (48, 0.9), (56, 48 / 59), (55, 0.93), (383, 0.95), (384, 0.875), (400, 0.9)):
        yield of_type("ConvNextImageProcessor", size=dict(shortest_edge=edge), crop_pct=share)
    yield of_type("ConvNextImageProcessor", size=48, do_center_crop=True, crop_size=48)
    yield of_type("ConvNextImageProcessor", size=dict(shortest_edge=386), do_center_crop=True, crop_size=351)


def timm_cases():
    yield dict(timm={"num_classes": 10})
    yield dict(timm=dict(input_size=None, interpolation="", crop_pct=0, crop_mode=None, mean=None, std=None))
    for i, share in enumerate((48 / 51, 48 / 53, 48 / 62, 48 / 63, 0.875, 0.9, 0.95, 0.8975, 0.965, 1.0, 1.15, 1.3)):
        for mode in ("center", "squash", "border"):
            for size in ([3, 48, 48], [3, 40, 57]):
                filter_ = ("bicubic", "bilinear", "nearest", "lanczos", "box", "hamming")[i % 6]
                mean, std = ODD if i % 2 else ([0, 0, 0], [1, 1, 1])
                yield dict(
                    timm=dict(
                        input_size=size, crop_pct=share, crop_mode=mode, interpolation=filter_, mean=mean, std=std
                    )
                )
    for over in (224 / 236, 224 / 248, 224 / 288):
        yield dict(timm=dict(input_size=[3, 224, 224], crop_pct=over, crop_mode="center"))
    yield dict(timm=dict(input_size=[3, 48, 48], interpolation="random", mean=[0.3, 0.1, 0.9], crop_mode="border"))


def open_clip_cases():
    for given in ({}, dict(interpolation="bilinear"), dict(interpolation="random", mean=ODD[0], std=ODD[1])):
        for mode in ({}, dict(resize_mode="shortest"), dict(resize_mode="squash")):
            for size in (48, 57):
                vision = dict(image_size=size, layers=1, width=64, patch_size=8)
                yield dict(open_clip=dict(model_cfg=dict(vision_cfg=vision), preprocess_cfg=given | mode))


def cases():
    groups = default_cases, switch_cases, plain_cases, cropping_cases, timm_cases, open_clip_cases
    for case in (case for group in groups for case in group()):
        yield dict(config={}, processor=None, timm=None, open_clip=None) | case


# ---- pictures ----


def pictures():
    sizes = """300x200 201x303 64x64 57x56 56x57 47x300 400x46 1x60 90x1 1x1 2x3 31x29 120x90 91x119 224x224 640x427
               333x500 1000x40""".split()
    for i, size in enumerate(sizes):
        w, h = map(int, size.split("x"))
        yield scene(w, h, i) if i % 2 else random_picture(w, h, 3, i)
    yield random_picture(83, 61, 1, 99).convert("RGB")
    yield Image.frombytes("RGBA", (59, 71), random_picture(59, 71, 4, 98).tobytes()).convert("RGB")


# ---- comparing ----


def ours(cases, pictures):
    """For each case (preprocess, [f32 [3,H,W], ...]), or an error's text."""
    with tempfile.TemporaryDirectory() as folder:
        job = dict(cases=cases, out=folder, pictures=[])
        for i, picture in enumerate(pictures):
            path = Path(folder, f"{i}.rgb")
            path.write_bytes(picture.tobytes())
            job["pictures"].append(dict(path=str(path), width=picture.width, height=picture.height))
        Path(folder, "job.json").write_text(json.dumps(job))
        run = subprocess.run(["node", RUN, Path(folder, "job.json")], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        for n, answer in enumerate(json.loads(run.stdout)):
            if "error" in answer:
                yield answer["error"]
                continue
            values, shape = np.fromfile(Path(folder, f"{n}.f32"), np.float32), answer["dims"][0][1:]
            yield answer["preprocess"], list(values.reshape(len(pictures), *shape))


def compare(got, wanted, std):
    """The largest difference in levels, and the share of values that differ."""
    scale = 255 * np.array(std)[:, None, None]
    differences = np.concatenate([np.abs((a - b) * scale).ravel() for a, b in zip(got, wanted, strict=True)])
    return differences.max(), (differences > ROUNDING).mean()


def resized(preprocess, picture):
    """Width and height to which transformers resizes the whole picture, of those that do not pad."""
    edge, (w, h) = preprocess.get("shortest_edge"), picture.size
    if not edge:
        return (preprocess.get("resize_size") or preprocess["size"])[::-1]
    return (edge, int(edge * h / w)) if w <= h else (int(edge * w / h), edge)


def down_first(preprocess, picture):
    w, h = resized(preprocess, picture)
    return picture.height > h and picture.height - h > 2 * (picture.width - w)


def pads(preprocess):
    """Whether the resized picture may be smaller than what is cropped."""
    edge = preprocess.get("shortest_edge") or min(preprocess.get("resize_size") or preprocess["size"])
    return preprocess["fit"] == "none" or edge < max(preprocess["size"]) or "longest_edge" in preprocess


def references(case, preprocess, pictures):
    """(what, allowed levels, allowed share, numbers of pictures, pixels) of each library that has the case."""
    whole = list(range(len(pictures)))
    config, processor = case["config"], case["processor"]
    if case["timm"]:
        pixels = timm_pixels(case["timm"], pictures)
        yield "timm", ROUNDING, 0, [i for i in whole if pixels[i] is not None], [p for p in pixels if p is not None]
        return
    if case["open_clip"]:
        yield "open_clip", ROUNDING, 0, whole, open_clip_pixels(case["open_clip"], pictures)
        return
    if preprocess.get("rescale_first"):
        yield "torchvision floats", ROUNDING, 0, whole, transformers_pixels(config, processor, "torchvision", pictures)
        return
    yield "pil", ROUNDING, 0, whole, transformers_pixels(config, processor, "pil", pictures)
    if pads(preprocess) or preprocess["resize"] in ("nearest", "box", "hamming"):  # the last two it has not
        return
    some = [i for i in whole if not down_first(preprocess, pictures[i])]
    pixels = transformers_pixels(config, processor, "torchvision", [pictures[i] for i in some])
    yield "torchvision", 2 + ROUNDING, SHARE, some, pixels


# ---- golden files ----


def small_cases():
    """One for each key and each rounding, with outputs of a few pixels."""
    crop = dict(size={"shortest_edge": 8}, crop_size=dict(height=5, width=6))
    yield of_type("ViTImageProcessor", size=[5, 6], image_mean=ODD[0], image_std=ODD[1])
    old = dict(feature_extractor_type="ViTFeatureExtractor", size=5, resample=5, do_normalize=None)
    yield dict(config={}, processor=old)
    yield of_type("DeiTImageProcessorFast", size=8, crop_size=5)
    yield of_type("BitImageProcessor", **crop)
    yield of_type("CLIPImageProcessor", size=dict(shortest_edge=6, longest_edge=9), crop_size=7)
    yield of_type("CLIPImageProcessor", do_resize=False, crop_size=7, resample=1)
    yield of_type("SiglipImageProcessor", size=dict(height=6, width=5), resample=1)
    yield of_type("ConvNextImageProcessor", size=dict(shortest_edge=6), crop_pct=6 / 11)
    yield of_type("LevitImageProcessor", size=7, crop_size=5)
    yield of_type("MobileViTImageProcessor", size=4, crop_size=6)
    yield of_type("DINOv3ViTImageProcessor", size=6)
    yield of_type("PvtImageProcessor", size=5, do_rescale=False, image_mean=[123.7, 116.3, 103.5])
    yield of_type("BeitImageProcessor", size=5, rescale_factor=0.25, resample=0)
    yield of_type("EfficientNetImageProcessor", size=5, rescale_factor=1 / 127.5, rescale_offset=True)
    yield dict(timm=dict(input_size=[3, 5, 5], crop_pct=5 / 8, interpolation="bilinear"))
    yield dict(timm=dict(input_size=[3, 6, 6], crop_pct=6 / 11, mean=ODD[0], std=ODD[1]))
    yield dict(timm=dict(input_size=[3, 5, 7], crop_pct=0.8, interpolation="box"))
    yield dict(timm=dict(input_size=[3, 7, 7], crop_pct=1.15))
    yield dict(timm=dict(input_size=[3, 6, 5], crop_pct=0.7, crop_mode="squash", mean=[0, 0, 0], std=[1, 1, 1]))
    yield dict(timm=dict(input_size=[3, 6, 5], crop_pct=0.9, crop_mode="border", mean=[0.3, 0.1, 0.7]))


def reference(case, pictures):
    """The library's floats: Pillow's backend where there is one."""
    if case["timm"]:
        return timm_pixels(case["timm"], pictures)
    return transformers_pixels(case["config"], case["processor"], "pil", pictures)


def write_cases():
    sizes, kept = [(13, 9), (4, 11)], []
    for n, case in enumerate(small_cases()):
        case = dict(config={}, processor=None, timm=None) | case
        w, h = sizes[n % 2]
        (pixels,) = reference(case, [random_picture(w, h, 3, n)])
        data = base64.b64encode(np.ascontiguousarray(pixels, "<f4").tobytes()).decode()
        kept.append(dict(case, width=w, height=h, seed=n, dims=list(pixels.shape), data=data))
    lines = ",\n".join(json.dumps(case) for case in kept)
    (OUT / "preprocess.json").write_text(f"[\n{lines}\n]\n")


def fit_rows(rng):
    """(spec of the core, what the library is asked for): shapes and roundings, each filter."""
    for i in range(72):
        width, height, kind = rng.between(5, 40), rng.between(5, 40), i % 8
        edge, longest = rng.between(5, 60), 0
        spec = dict(width=width, height=height, filter=FILTERS[i % 6], floor=1)
        crop_size = dict(height=height, width=width)
        if kind < 2:
            longest = 0 if kind else rng.between(20, 90)
            size = dict(shortest_edge=edge) | (dict(longest_edge=longest) if longest else {})
            yield dict(spec, fit="crop", shortest=edge, longest=longest), ("CLIP", dict(size=size, crop_size=crop_size))
        elif kind < 4:
            w, h = rng.between(5, 60), rng.between(5, 60)
            keys = dict(size=[h, w], crop_size=crop_size)
            yield dict(spec, fit="squash", resize_width=w, resize_height=h), ("DeiT", keys)
        elif kind == 4:
            yield dict(spec, fit="none"), ("CLIP", dict(do_resize=False, crop_size=crop_size))
        else:
            mode = "center border border".split()[kind - 5]
            share = width / rng.between(width, 2 * width) if i % 3 else 1.25
            spec = dict(spec, fit=mode.replace("center", "crop"), crop_pct=share, floor=0)
            yield spec, dict(input_size=[3, height, width], crop_pct=share, crop_mode=mode, mean=ODD[0])


def write_fit():
    from timm.data import create_transform, resolve_data_config

    order, lines = [*FILTER_NAMES, "hamming"], []
    for i, (spec, asked) in enumerate(fit_rows(Random(19))):
        w, h = (i * 37) % 61 + 3, (i * 53) % 67 + 3
        picture = random_picture(w, h, 3, 7000 + i)
        if isinstance(asked, dict):
            cfg = dict(asked, interpolation=spec["filter"])
            steps = create_transform(**resolve_data_config({}, pretrained_cfg=cfg), is_training=False).transforms[:2]
            pixels = np.asarray(steps[1](steps[0](picture)))
        else:
            processor = dict(do_rescale=False, do_normalize=False, resample=FILTERS.index(spec["filter"]), **asked[1])
            processor["image_processor_type"] = f"{asked[0]}ImageProcessor"
            (pixels,) = transformers_pixels({}, processor, "pil", [picture])
            pixels = np.ascontiguousarray(pixels.transpose(1, 2, 0)).astype(np.uint8)
        row = [spec.get(key, 0) for key in "shortest longest resize_width resize_height floor".split()]
        fit = ["crop", "squash", "border", "none"].index(spec["fit"])
        head = [w, h, 7000 + i, spec["width"], spec["height"], order.index(spec["filter"]), fit]
        lines.append(
            " ".join(map(str, [*head, spec.get("crop_pct", 1), *row])) + f" {zlib.crc32(pixels.tobytes()):08x}"
        )
    (OUT / "fit.txt").write_text("\n".join(lines) + "\n")


def write_golden():
    OUT.mkdir(exist_ok=True)
    write_cases()
    write_fit()
    for path in sorted(OUT.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def main():
    if "--golden" in sys.argv:
        return write_golden()
    warnings.simplefilter("ignore")
    seen, shown, worst, bad = list(cases()), list(pictures()), {}, 0
    for case, answer in zip(seen, ours(seen, shown), strict=True):
        what = json.dumps({key: value for key, value in case.items() if value})
        if isinstance(answer, str):
            print(f"REFUSED {what}\n  {answer}")
            bad += 1
            continue
        preprocess, got = answer
        for name, most, share, some, wanted in references(case, preprocess, shown):
            largest, differing = compare([got[i] for i in some], wanted, preprocess["std"])
            worst[name] = tuple(map(max, worst.get(name, (0, 0)), (largest, differing)))
            if largest > most or differing > share:
                print(f"OFF {name} {what}\n  {preprocess}\n  {largest:.4f} levels, {100 * differing:.3f} % differ")
                bad += 1
    for name, (largest, differing) in worst.items():
        print(f"{name}: at most {largest:.4f} levels, on {100 * differing:.3f} % of a case's values")
    print(f"{len(seen)} cases, {len(shown)} pictures each: {bad} faults")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
