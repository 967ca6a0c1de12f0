"""Makes test/golden/image/: what Pillow 13 says about resizing, fitting, turning and decoding.

    python scripts/parity/golden_image.py [--check-timm]

Needs numpy and Pillow. Running it again gives the same files (with the same Pillow: it holds the JPEG encoder).
--check-timm also compares every fit case with timm's own evaluation transform; needs timm and torchvision.

resize.txt  w h channels seed | width height filter left top right bottom | crc32 of the result
fit.txt     w h channels seed | width height channels filter fit crop_pct | crc32 of the 8-bit result, of the floats
orient.txt  w h channels seed orientation | width height crc32
images.txt  file | width height | crc32 of Pillow's RGB | file with Pillow's pixels, or - where they must be equal

The random picture of a seed is the bytes of splitmix64 (test/c/check.h), low byte first. CRCs are zlib's crc32.
Boxes are float32, printed with enough digits to read back exactly. A JPEG's pixels differ a little between decoders,
so Pillow's are kept beside it as PNG; PNGs must decode to equal pixels.
"""

import io
import math
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

OUT = os.path.join(os.path.dirname(__file__), "..", "..", "test", "golden", "image")
GAMMA, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1
# in the order of enum tsr_filter
FILTERS = [
    Image.Resampling.NEAREST,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
]
FILTER_NAMES = ["nearest", "bilinear", "bicubic", "lanczos", "box"]
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


class Random:
    """splitmix64, one number at a time."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + GAMMA) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def between(self, low, high):
        return low + self.next() % (high - low + 1)

    def real(self):
        return (self.next() >> 11) / (1 << 53)


def noise(shape, seed):
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, (count + 7) // 8 + 1, dtype=np.uint64) * np.uint64(GAMMA)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return z.astype("<u8").view(np.uint8)[:count].reshape(shape)


def random_picture(w, h, channels, seed):
    data = noise((h, w, channels), seed)
    return Image.fromarray(data[:, :, 0] if channels == 1 else data)


def crc(image):
    return zlib.crc32(np.asarray(image).tobytes())


def digits(x):
    return f"{float(np.float32(x)):.9g}"


def write_lines(name, lines):
    with open(os.path.join(OUT, name), "w", newline="\n") as f:
        f.write("\n".join(lines) + "\n")
    print(f"{name}: {len(lines)} cases")


# ---- resize ----


def random_box(rng, w, h):
    kind = rng.between(0, 3)
    if kind == 0:
        return 0, 0, w, h
    edges = []
    for size in (w, h):
        a, b = sorted((rng.real() * size, rng.real() * size))
        if kind == 1:  # whole pixels
            a, b = math.floor(a), math.floor(b) + 1
        a, b = np.float32(a), np.float32(b)
        edges.append((float(a), float(max(b, np.nextafter(a, np.float32(size))))))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def resize_cases():
    rng, lines = Random(2024), []
    sizes = [
        (1, 1, 1, 1),
        (1, 1, 300, 7),
        (300, 200, 1, 1),
        (1, 300, 300, 1),
        (64, 64, 64, 64),
        (64, 64, 64, 32),
        (64, 64, 32, 64),
        (2, 3, 224, 224),
        (300, 300, 299, 301),
        (256, 192, 224, 168),
    ]
    for i in range(320):
        if i < 50:
            w, h, ow, oh = sizes[i // 5]
        else:
            w, h, ow, oh = (rng.between(1, 300) for _ in range(4))
        if i % 16 == 15:  # the size of the box, or one side as it is: passes that are left out
            ow, oh = rng.between(1, w), h
        box = (0, 0, w, h) if i < 50 else random_box(rng, w, h)
        if i % 16 == 7:
            ow, oh = max(1, int(box[2] - box[0])), max(1, int(box[3] - box[1]))
        channels = (3, 1, 3, 4)[rng.between(0, 3)]
        picture = random_picture(w, h, channels, i)
        if channels == 4:  # RGBX: four channels that have nothing to do with each other, as in C
            picture = Image.frombytes("RGBX", (w, h), picture.tobytes())
        result = picture.resize((ow, oh), FILTERS[i % 5], box)
        lines.append(
            f"{w} {h} {channels} {i} {ow} {oh} {i % 5} {' '.join(map(digits, box))} {zlib.crc32(result.tobytes()):08x}"
        )
    for i, (w, h, ow, oh) in enumerate(
        [
            (1200, 900, 224, 224),
            (640, 480, 341, 256),
            (500, 1400, 448, 400),
            (1000, 1000, 900, 790),
            (1000, 1000, 900, 800),
            (8192, 2, 64, 3),
        ]
    ):
        result = random_picture(w, h, 3, 900 + i).resize((ow, oh), FILTERS[1 + i % 4])
        lines.append(f"{w} {h} 3 {900 + i} {ow} {oh} {1 + i % 4} 0 0 {w} {h} {crc(result):08x}")
    write_lines("resize.txt", lines)


# ---- fit ----


def center_crop(image, width, height):
    """torchvision's CenterCrop of a picture that is not smaller."""
    top, left = int(round((image.height - height) / 2.0)), int(round((image.width - width) / 2.0))
    return image.crop((left, top, left + width, top + height))


def fit(image, width, height, filter_, squash, crop_pct):
    if squash:
        return image.resize((width, height), filter_)
    scale_w, scale_h = math.floor(width / crop_pct), math.floor(height / crop_pct)
    if scale_w == scale_h:  # torchvision's Resize(int)
        short, long = min(image.size), max(image.size)
        new = scale_w, int(scale_w * long / short)
        size = new if image.width <= image.height else new[::-1]
    else:  # timm's ResizeKeepRatio, but with the filter asked for (timm forgets to pass it)
        ratio = min(image.height / scale_h, image.width / scale_w)
        size = round(image.width / ratio), round(image.height / ratio)
    return center_crop(image.resize(size, filter_), width, height)


def check_timm(image, got, width, height, filter_index, squash, crop_pct):
    from timm.data.transforms_factory import transforms_imagenet_eval

    square = math.floor(width / crop_pct) == math.floor(height / crop_pct)
    if not squash and not square and filter_index != 1:
        return 0
    transform = transforms_imagenet_eval(
        (height, width),
        crop_pct=1.0 if squash else crop_pct,
        crop_mode="squash" if squash else "center",
        interpolation=FILTER_NAMES[filter_index],
        mean=tuple(MEAN.tolist()),
        std=tuple(STD.tolist()),
    )
    steps = transform.transforms[:2]
    picture = image
    for step in steps:
        picture = step(picture)
    assert np.array_equal(np.asarray(picture), np.asarray(got)), (image.size, width, height, squash, crop_pct)
    if got.mode == "RGB":
        assert np.array_equal(transform(image).numpy(), floats(got)), (image.size, width, height)
    return 1


def floats(image):
    data = np.asarray(image).reshape(image.height, image.width, -1)
    channels = data.shape[2]
    scaled = data.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((scaled - MEAN[:channels]) / STD[:channels]).transpose(2, 0, 1))


def fit_cases(with_timm):
    rng, lines, compared = Random(7), [], 0
    crops = [1.0, 0.875, 0.9, 0.8, 0.95, 0.7, 0.965, 0.94, 0.6, 0.888889]
    targets = [(32, 32), (224, 224), (64, 64), (56, 40), (40, 57), (28, 28), (33, 33)]
    for i in range(120):
        w, h = rng.between(1, 300), rng.between(1, 300)
        if i % 10 == 9:
            w, h = ((3, 800), (800, 3))[i // 10 % 2]
        width, height = targets[rng.between(0, len(targets) - 1)]
        channels, want = (3, 3, 4, 1)[rng.between(0, 3)], (3, 3, 3, 1)[rng.between(0, 3)]
        squash, crop_pct, filter_index = i % 4 == 3, crops[rng.between(0, len(crops) - 1)], rng.between(0, 4)
        picture = random_picture(w, h, channels, 1000 + i).convert("RGB" if want == 3 else "L")
        result = fit(picture, width, height, FILTERS[filter_index], squash, crop_pct)
        if with_timm:
            compared += check_timm(picture, result, width, height, filter_index, squash, crop_pct)
        lines.append(
            f"{w} {h} {channels} {1000 + i} {width} {height} {want} {filter_index} {int(squash)} {crop_pct} "
            f"{crc(result):08x} {zlib.crc32(floats(result).tobytes()):08x}"
        )
    write_lines("fit.txt", lines)
    if with_timm:
        print(f"equal to timm: {compared} cases")


# ---- orient ----


def tiff_block(orientation, big, tag_type=3):
    """EXIF with two tags, so that the reader has to look for the right one."""
    e = ">" if big else "<"
    value = struct.pack(e + "HH", orientation, 0) if tag_type == 3 else struct.pack(e + "I", orientation)
    head = (b"MM" if big else b"II") + struct.pack(e + "HI", 42, 8)
    tags = struct.pack(e + "HHHI", 2, 0x0100, 4, 1) + struct.pack(e + "I", 24)
    tags += struct.pack(e + "HHI", 0x0112, tag_type, 1) + value
    return head + tags + struct.pack(e + "I", 0)


def oriented(image, orientation):
    """Pillow's own transposition, driven by EXIF data."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=tiff_block(orientation, False))
    return ImageOps.exif_transpose(Image.open(buffer))


def orient_cases():
    lines = []
    for i in range(24):
        w, h = ((7, 5), (1, 9), (130, 67))[i // 8]
        picture = oriented(random_picture(w, h, 3, i), i % 8 + 1)
        lines.append(f"{w} {h} 3 {i} {i % 8 + 1} {picture.width} {picture.height} {crc(picture):08x}")
    write_lines("orient.txt", lines)


# ---- encoded images ----


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filter_row(kind, row, above, back):
    shifted = lambda line: np.concatenate([np.zeros(back, np.int32), line])[: len(line)]
    left, corner = shifted(row), shifted(above)
    if kind == 4:
        p = left + above - corner
        a, b, c = abs(p - left), abs(p - above), abs(p - corner)
        guess = np.where((a <= b) & (a <= c), left, np.where(b <= c, above, corner))
    else:
        guess = (0 * row, left, above, (left + above) // 2)[kind]
    return bytes([kind]) + ((row - guess) & 255).astype(np.uint8).tobytes()


def pack_rows(samples, depth, first_filter):
    """Filtered rows of samples [h, w, channels]; every filter comes up, from row to row."""
    h, w, channels = samples.shape
    if depth == 16:
        rows = samples.astype(">u2").reshape(h, -1).view(np.uint8)
    elif depth == 8:
        rows = samples.astype(np.uint8).reshape(h, -1)
    else:
        bits = (samples.reshape(h, -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(h, -1).astype(np.uint8), axis=1)
    rows = rows.astype(np.int32)
    above, out = np.zeros(rows.shape[1], np.int32), b""
    for y in range(h):
        out += filter_row((first_filter + y) % 5, rows[y], above, max(1, channels * depth // 8))
        above = rows[y]
    return out


def encode_png(samples, depth, color, interlaced=False, extra=b"", pieces=1, trailer=b""):
    """All of PNG's pixel formats, which Pillow reads but does not all write."""
    h, w, _ = samples.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for i, (x, y, dx, dy) in enumerate(passes):
        part = samples[y::dy, x::dx]
        if part.shape[0] and part.shape[1]:
            raw += pack_rows(part, depth, i)
    data = zlib.compress(raw + trailer, 9)
    cuts = [len(data) * i // pieces for i in range(pieces + 1)]
    body = b"".join(chunk(b"IDAT", data[a:b]) for a, b in zip(cuts, cuts[1:]))
    header = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + chunk(b"IEND", b"")


def scene(w, h, seed):
    """Something like a photo: soft colours with some detail."""
    soft = random_picture(max(2, w // 12), max(2, h // 12), 3, seed).resize((w, h), Image.Resampling.BICUBIC)
    detail = random_picture(max(2, w // 2), max(2, h // 2), 3, seed + 1).resize((w, h), Image.Resampling.BILINEAR)
    return Image.blend(soft, detail, 0.2)


def png_samples(w, h, channels, depth, seed):
    top = (1 << depth) - 1
    wide = noise((h, w, channels, 2), seed).astype(np.int64)
    ramp = np.add.outer(np.arange(h), np.arange(w)).reshape(h, w, 1) * top // max(1, w + h)
    return (ramp + (wide[..., 0] * 256 + wide[..., 1]) % (top // 4 + 2)) & top


def save(name, data, lines, expected=None):
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)
    reference = "-"
    if expected is None:
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    if name.endswith(".jpg"):
        reference = name[:-4] + ".expected.png"
        expected.save(os.path.join(OUT, reference), optimize=True)
    lines.append(f"{name} {expected.width} {expected.height} {crc(expected):08x} {reference}")


def png_cases(lines):
    seed = 5000
    kinds = (
        (0, "grey", 1, (1, 2, 4, 8, 16)),
        (2, "rgb", 3, (8, 16)),
        (3, "palette", 1, (1, 2, 4, 8)),
        (4, "la", 2, (8, 16)),
        (6, "rgba", 4, (8, 16)),
    )
    for color, name, channels, depths in kinds:
        for depth in depths:
            for interlaced in (False, True):
                seed += 1
                w, h = ((19, 13), (21, 11))[interlaced]
                samples, extra, expected = png_samples(w, h, channels, depth, seed), b"", None
                if color == 3:
                    extra = chunk(b"PLTE", noise((1 << depth, 3), seed).tobytes())
                    extra += chunk(b"tRNS", noise((1 << depth,), seed + 1).tobytes())
                if color == 0 and depth == 16:  # Pillow clips to white here; the high byte is what people expect
                    high = (samples[:, :, 0] >> 8).astype(np.uint8)
                    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(samples, 16, 0)))) >> 8, high)
                    expected = Image.fromarray(high).convert("RGB")
                data = encode_png(samples, depth, color, interlaced, extra, pieces=1 + seed % 3)
                save(f"{name}{depth}{'i' if interlaced else ''}.png", data, lines, expected)
    samples = png_samples(9, 7, 3, 8, 1)
    save("exif6.png", encode_png(samples, 8, 2, extra=chunk(b"eXIf", tiff_block(6, True))), lines)
    save("grey8_trns.png", encode_png(png_samples(9, 7, 1, 8, 2), 8, 0, extra=chunk(b"tRNS", b"\0\x40")), lines)
    save("rgb8_more.png", encode_png(samples, 8, 2, trailer=bytes(200000)), lines)  # more data than pixels: read by all
    save("one.png", encode_png(png_samples(1, 1, 3, 8, 3), 8, 2), lines)
    for w, h in ((2, 1), (1, 5), (5, 2)):  # interlaced with empty passes
        save(f"tiny{w}x{h}i.png", encode_png(png_samples(w, h, 3, 8, w), 8, 2, True), lines)
    buffer = io.BytesIO()
    scene(64, 48, 3).save(buffer, "PNG", optimize=True)
    save("pillow.png", buffer.getvalue(), lines)


def jpeg(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def jpeg_cases(lines):
    picture = scene(67, 45, 11)
    save("base444.jpg", jpeg(picture, quality=90, subsampling=0), lines)
    save("base422.jpg", jpeg(picture, quality=85, subsampling=1), lines)
    save("base420.jpg", jpeg(picture, quality=85, subsampling=2), lines)
    save("even420.jpg", jpeg(scene(64, 48, 13), quality=95, subsampling=2), lines)
    save("low420.jpg", jpeg(picture, quality=30, subsampling=2), lines)
    save("progressive.jpg", jpeg(picture, quality=85, subsampling=2, progressive=True), lines)
    save("progressive444.jpg", jpeg(picture, quality=92, subsampling=0, progressive=True), lines)
    save("restart.jpg", jpeg(picture, quality=85, subsampling=2, restart_marker_blocks=3), lines)
    save("restart_progressive.jpg", jpeg(picture, quality=85, progressive=True, restart_marker_rows=1), lines)
    save("rgb.jpg", jpeg(picture, quality=90, keep_rgb=True), lines)
    save("grey.jpg", jpeg(picture.convert("L"), quality=85), lines)
    save("cmyk.jpg", jpeg(picture.convert("CMYK"), quality=90), lines)
    save("one.jpg", jpeg(scene(1, 1, 17), quality=90), lines)
    small = scene(24, 17, 19)
    for orientation in range(1, 9):
        exif = b"Exif\0\0" + tiff_block(orientation, orientation % 2 == 0, 3 if orientation < 7 else 4)
        save(f"exif{orientation}.jpg", jpeg(small, quality=88, subsampling=0, exif=exif), lines)


def main():
    os.makedirs(OUT, exist_ok=True)
    for name in os.listdir(OUT):
        os.remove(os.path.join(OUT, name))
    resize_cases()
    fit_cases("--check-timm" in sys.argv)
    orient_cases()
    lines = []
    png_cases(lines)
    jpeg_cases(lines)
    write_lines("images.txt", lines)
    total = sum(os.path.getsize(os.path.join(OUT, name)) for name in os.listdir(OUT))
    print(f"{len(os.listdir(OUT))} files, {total} bytes")
    assert total < 300_000


if __name__ == "__main__":
    main()
