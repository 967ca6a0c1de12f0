"""Writes test/golden/safetensors/: small files, and what the `safetensors` library (and Python's json) says of them.

    python scripts/parity/golden_safetensors.py            # needs numpy, safetensors, torch (for bfloat16)

good/*.safetensors   the library reads them; expected.txt has what it reads
bad/*.safetensors    we refuse them; bad.txt has what the library says: refuses, or accepts (there we are stricter)
json.txt             JSON texts, whether Python's json takes them, and the tree it reads

Deterministic: running it again changes nothing (library versions are named in README.md's first line there).
Formats of the text files, one record a line, names and texts as hex of their UTF-8:
    expected.txt   file <name> <tensors> <data bytes>, followed by its lines: meta <key> <value>
                   tensor <dtype> <dims> <begin> <end> <crc32> <name>    with <dims> as 2x3, or - for none
    bad.txt        <accepts|refuses> <file>
    json.txt       accepts <text> <tree> (see tree()) | refuses <text> - | stricter <text> <our error>
"""

import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

OUT = Path(__file__).resolve().parent.parent.parent / "test" / "golden" / "safetensors"
TESSERAE = json.dumps(
    {
        "arch": "vit",
        "config": {"image_size": 8, "patch_size": 4, "num_classes": 3, "dim": 8, "depth": 1, "heads": 2, "mlp_dim": 16},
        "preprocess": {"size": [8, 8], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        "labels": ["cat", "Käfer", '"dog"'],
    }
)


def hexed(text: str) -> str:
    return text.encode().hex() or "-"


def raw(header, data: bytes = b"", length: int | None = None) -> bytes:
    """A file with this header (text, or an object to dump), right or wrong."""
    if not isinstance(header, (str, bytes)):
        header = json.dumps(header, separators=(",", ":"))
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(begin: int, end: int, shape=None, dtype="F32"):
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


def good_files():
    random = np.random.RandomState(20240501)
    f32 = {
        "transformer.layers.0.0.to_qkv.weight": random.randn(24, 8),
        "pos_embedding": random.randn(1, 5, 8),
        "mlp_head.bias": random.randn(3),
    }
    yield "f32", safetensors.numpy.save({k: v.astype(np.float32) for k, v in f32.items()}, {"tesserae": TESSERAE})
    t = lambda *shape: torch.from_numpy(random.randn(*shape).astype(np.float32))
    yield (
        "dtypes",
        safetensors.torch.save(
            {
                "f32": t(2, 3),
                "f16": t(5).half(),
                "bf16": t(3, 7).bfloat16(),
                "f64": t(2).double(),
                "f8_e4m3": t(6).to(torch.float8_e4m3fn),
                "f8_e5m2": t(6).to(torch.float8_e5m2),
                "bool": torch.tensor([True, False, True]),
                "u8": torch.arange(9, dtype=torch.uint8),
                "i8": torch.arange(-4, 4, dtype=torch.int8),
                "i16": torch.arange(-3, 3, dtype=torch.int16),
                "u16": torch.tensor([0, 1, 65535], dtype=torch.uint16),
                "u32": torch.tensor([0, 7], dtype=torch.uint32),
                "u64": torch.tensor([0, 2**63], dtype=torch.uint64),
                "i32": torch.arange(4, dtype=torch.int32).reshape(2, 2),
                "i64": torch.arange(2, dtype=torch.int64),
            }
        ),
    )
    yield (
        "shapes",
        safetensors.torch.save(
            {
                "scalar": torch.tensor(2.5),
                "none": torch.zeros(0),
                "none_wide": torch.zeros(3, 0, 5),
                "one": torch.ones(1, 1, 1, 1),
                "six": torch.arange(64, dtype=torch.float32).reshape(2, 2, 2, 2, 2, 2),
            }
        ),
    )
    yield (
        "quantized",
        safetensors.torch.save(
            {  # as compressed-tensors writes int8 and packed 4-bit weights
                "head.weight": torch.randint(
                    -127, 128, (3, 8), dtype=torch.int8, generator=torch.Generator().manual_seed(1)
                ),
                "head.weight_scale": t(3, 1).abs(),
                "mlp.weight_packed": torch.arange(6, dtype=torch.int32).reshape(3, 2),
                "mlp.weight_scale": t(3, 1).abs(),
                "mlp.weight_shape": torch.tensor([3, 16]),
            }
        ),
    )
    yield (
        "names",
        safetensors.torch.save(
            {
                "": t(1),
                "dots.and spaces": t(2),
                "Gewöhnlich.größe": t(3),
                "重み": t(1),
                "😀": t(2),
                'tab\tquote"back\\slash\nline': t(1),
                "long." + "x" * 300: t(1),
            },
            {"note": 'ünï 😀 \u0001 " \\'},
        ),
    )
    big = random.randint(0, 256, 4000).astype(np.uint8)
    yield "larger", safetensors.numpy.save({"bytes": big, "tail": np.arange(40, dtype=np.float32).reshape(5, 8)})
    yield (
        "by_hand",
        raw(  # what the library reads, but does not write: order, white space, escapes, padding
            b'{ "b\\u00e4\\ud83d\\ude00\\/" : {"shape":[ 2 ],\n "data_offsets":[4,12],"dtype":"F32"},\t"\\u0061":'
            b'{"dtype":"F32","shape":[],"data_offsets":[0,4]}, "__metadata__":{"a":"1","b":"\\"\\n"} }     ',
            bytes(range(12)),
        ),
    )
    yield "empty", raw("{}")
    yield "only_metadata", raw({"__metadata__": {"tesserae": TESSERAE}})
    yield "only_empty_tensors", raw({"z": entry(0, 0, [0]), "a": entry(0, 0, [0, 4])})


F = entry(0, 4)
NEST = "[" * 200 + "]" * 200


def bad_files():
    good = raw({"a": entry(0, 8), "b": entry(8, 12)}, bytes(12))
    # The file around the header.
    yield "empty", b""
    yield "seven_bytes", good[:7]
    yield "eight_bytes", good[:8]
    yield "cut_in_header", good[:40]
    yield "cut_in_tensor", good[:-6]
    yield "cut_before_last_tensor", good[:-4]
    yield "one_byte_more", good + b"\0"
    yield "bytes_after_no_tensors", raw("{}", b"\0")
    yield "length_zero", raw(b"", bytes(20))
    yield "length_past_file", raw({"a": F}, bytes(4), length=1000)
    yield "length_over_limit", raw({"a": F}, bytes(4), length=100_000_001)
    yield "length_all_ones", raw({"a": F}, bytes(4), length=2**64 - 1)
    yield "html", b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>No such model</body></html>\n"
    yield "json_error", b'{"error": "Repository not found", "status": 404}'
    yield "text", b"Not Found\n"
    yield "text_short", b"404\n"
    yield "text_with_bom", b"\xef\xbb\xbf<html>\xc3\xa9</html>"
    yield "lfs_pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345\n"
    yield "zip", b"PK\x03\x04\x00\x00\x08\x08" + bytes(60)
    yield "pickle", b"\x80\x02\x8a\x0al\xfc\x9cF" + bytes(60)
    yield "gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + bytes(60)
    yield "gguf", b"GGUF\x03\x00\x00\x00" + bytes(60)
    yield "hdf5", b"\x89HDF\r\n\x1a\n" + bytes(60)
    # The header as JSON.
    yield "header_array", raw("[]")
    yield "header_string", raw('"a"')
    yield "header_leading_space", raw(b" " + good[8:-12], bytes(12))
    yield "header_not_closed", raw('{"a":' + json.dumps(F), bytes(4))
    yield "header_two_values", raw('{"a":' + json.dumps(F) + "}{}", bytes(4))
    yield "header_nul_padding", raw('{"a":' + json.dumps(F) + "}\0\0", bytes(4))
    yield "header_trailing_comma", raw('{"a":' + json.dumps(F) + ",}", bytes(4))
    yield "header_single_quotes", raw("{'a':" + json.dumps(F) + "}", bytes(4))
    yield "header_bad_utf8", raw(b'{"\xff":' + json.dumps(F).encode() + b"}", bytes(4))
    yield "header_overlong_utf8", raw(b'{"\xc0\x80":' + json.dumps(F).encode() + b"}", bytes(4))
    yield "header_lone_surrogate", raw('{"\\ud800":' + json.dumps(F) + "}", bytes(4))
    yield "header_nul_escape", raw('{"a\\u0000b":' + json.dumps(F) + "}", bytes(4))
    yield "header_control_character", raw('{"a\nb":' + json.dumps(F) + "}", bytes(4))
    yield "header_nested", raw('{"a":' + NEST + "}")
    yield "metadata_nested", raw('{"__metadata__":{"a":' + NEST + "}}")
    yield "metadata_number", raw({"__metadata__": {"format": "pt", "version": 1}})
    yield "metadata_array", raw({"__metadata__": ["a"]})
    yield "metadata_null", raw({"__metadata__": None})
    yield "metadata_duplicate_key", raw('{"__metadata__":{"a":"1","\\u0061":"2"}}')
    # Duplicate keys.
    e = json.dumps(F)
    yield "duplicate_tensor", raw('{"a":%s,"a":%s}' % (e, e), bytes(4))
    yield "duplicate_tensor_escaped", raw('{"a":%s,"\\u0061":%s}' % (e, e), bytes(4))
    yield "duplicate_metadata", raw('{"__metadata__":{"x":"1"},"__metadata__":{"x":"2"}}')
    yield "duplicate_field", raw('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4))
    # Entries.
    yield "entry_null", raw({"a": None})
    yield "entry_array", raw({"a": ["F32", [1], [0, 4]]}, bytes(4))
    yield "entry_without_dtype", raw({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(4))
    yield "entry_without_shape", raw({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4))
    yield "entry_without_offsets", raw({"a": {"dtype": "F32", "shape": [1]}}, bytes(4))
    yield "entry_unknown_field", raw({"a": {**F, "stride": [1]}}, bytes(4))
    yield "entry_name_controls", raw('{"a\\u001b[31m\\n\\u202eb":{}}')
    yield "dtype_unknown", raw({"w": entry(0, 4, [1], "Q4_0")}, bytes(4))
    yield "dtype_lower_case", raw({"w": entry(0, 4, [1], "f32")}, bytes(4))
    yield "dtype_number", raw({"w": entry(0, 4, [1], 32)}, bytes(4))
    yield "dtype_f4", raw({"w": entry(0, 4, [8], "F4")}, bytes(4))
    yield "dtype_f8_e8m0", raw({"w": entry(0, 4, [4], "F8_E8M0")}, bytes(4))
    yield "dtype_c64", raw({"w": entry(0, 8, [1], "C64")}, bytes(8))
    for name, shape in (
        ("negative", "[-1]"),
        ("fraction", "[1.5]"),
        ("point_zero", "[1.0]"),
        ("exponent", "[1e0]"),
        ("minus_zero", "[-0]"),
        ("string", '["1"]'),
        ("nested", "[[1]]"),
        ("leading_zero", "[01]"),
        ("huge", "[18446744073709551616]"),
        ("object", "{}"),
        ("number", "1"),
        ("null", "[null]"),
    ):
        yield f"shape_{name}", raw('{"a":{"dtype":"F32","shape":%s,"data_offsets":[0,4]}}' % shape, bytes(4))
    yield "shape_seven_dims", raw({"a": entry(0, 4, [1] * 7)}, bytes(4))
    yield "shape_wraps_twice", raw({"a": entry(0, 0, [4294967296, 4294967296])})
    yield "shape_wraps_four", raw({"a": entry(0, 0, [65536] * 4)})
    yield "shape_wraps_bytes", raw({"a": entry(0, 0, [4611686018427387904])})
    yield "shape_over_2_31", raw({"a": entry(0, 65536 * 65536, [65536, 65536], "U8")})
    yield "shape_zero_but_wide", raw({"a": entry(0, 0, [0, 4294967296])})
    # Offsets.
    yield "offsets_negative", raw({"a": entry(-4, 0, [1])}, bytes(4))
    yield "offsets_fraction", raw({"a": {**F, "data_offsets": [0, 4.0]}}, bytes(4))
    yield "offsets_three", raw({"a": {**F, "data_offsets": [0, 4, 8]}}, bytes(4))
    yield "offsets_one", raw({"a": {**F, "data_offsets": [4]}}, bytes(4))
    yield "offsets_string", raw({"a": {**F, "data_offsets": "04"}}, bytes(4))
    yield "offsets_reversed", raw({"a": entry(4, 0, [1])}, bytes(4))
    yield "offsets_huge", raw({"a": {**F, "data_offsets": [0, 18446744073709551616]}}, bytes(4))
    yield "offsets_wrap", raw({"a": {**F, "data_offsets": [18446744073709551612, 0]}}, bytes(4))
    yield "offsets_not_from_zero", raw({"a": entry(4, 8)}, bytes(8))
    yield "offsets_hole", raw({"a": entry(0, 4), "blocks.3.attn.qkv.weight": entry(8, 12)}, bytes(12))
    yield "offsets_overlap", raw({"a": entry(0, 8), "blocks.3.attn.qkv.weight": entry(4, 12)}, bytes(12))
    yield "offsets_same", raw({"a": entry(0, 4), "b": entry(0, 4)}, bytes(4))
    yield "offsets_too_short", raw({"a": entry(0, 4, [2])}, bytes(4))
    yield "offsets_too_long", raw({"a": entry(0, 8, [1])}, bytes(8))
    yield "offsets_past_end", raw({"a": entry(0, 8)}, bytes(4))


JSON_TEXTS = [
    b"null", b"true", b"false", b"0", b"-0", b"-0.0", b"1", b"12345678901234567890", b"0.1", b"1e3", b"1E+3", b"1.5e-3",
    b"0.48145466", b"0.26130258", b"0.4465000000000001", b"1e-5", b"1e-6", b"123456789.123456789e-10", b"1e22", b"1e23",
    b"9007199254740993", b"9007199254740992.9999999999", b"5e-324", b"2e-324", b"4.9406564584124654e-324",
    b"2.2250738585072011e-308", b"2.2250738585072014e-308", b"1.7976931348623157e308", b"1e-400", b"0e999999999999",
    b"1e-999999999999", b"1e-99999999999999999999", b"0." + b"0" * 400 + b"1e401", b"1" + b"0" * 400 + b"e-400",
    b"3.14159265358979323846264338327950288", b"100000000000000000000000e-23",
    b"618227913935318852e-16", b"1942879118058144418e-11",  # wrong if rounded twice
    b"9662122087363330367e-13", b"76235842150889626e-10",
    b"", b" ", b"-", b"+1", b"01", b"-01", b"1.", b".5", b"1.e1", b"1e", b"1e+", b"0x10", b"1_000", b"NaN", b"Infinity",
    b"-Infinity", b"nul", b"nulll", b"True", b"tru", b"falsee", b"1 2", b"1,", b"\xef\xbb\xbf1", b"// c\n1", b"/* */1",
    b" \t\n\r1 \t\n\r", b"\x0b1", b"\xc2\xa01", b"1\0", b"\0",
    b'""', b'"a"', b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b'"\\u0041\\u00e9\\u20AC\\ud83d\\ude00"', "\"é€😀\"".encode(),
    b'"\x7f"', b'"', b'"a', b'"\\"', b'"\\', b'"\\a"', b'"\\u"', b'"\\u12"', b'"\\u12g4"', b'"\\U00000041"', b'"a\nb"',
    b'"a\tb"', b'"\x00"', b'"\x1f"', b"'a'",
    b'"\xff"', b'"\xc0\x80"', b'"\xc1\xbf"', b'"\xe0\x80\x80"', b'"\xed\xa0\x80"', b'"\xf0\x80\x80\x80"',
    b'"\xf4\x90\x80\x80"', b'"\xf8\x88\x80\x80\x80"', b'"\xe2\x82"', b'"\x80"', b'"\xef\xbf\xbf"',
    b'"\xf4\x8f\xbf\xbf"',
    b"[]", b"[ ]", b"[1]", b"[1,2,[3,[]],{}]", b"[ 1 , 2 ]", b"[", b"]", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1 2]",
    b"[1,,2]", b"[1}", b"{}", b"{ }", b'{"a":1}', b'{ "a" : 1 , "b" : [ true , null ] }', b'{"":0}',
    b'{"a":{"a":{"a":[]}}}', b'{"a":1,"A":2}', b"{", b"}", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}',
    b"{,}", b'{"a" 1}', b"{a:1}", b"{1:1}", b"{'a':1}", b'{"a":1]', b'{"a":1}}', b'{"a":1 "b":2}',
    b"[" * 64 + b"]" * 64, b'{"a":' * 64 + b"1" + b"}" * 64, b"[" + b"[]," * 99 + b"{}]",  # depth is not breadth
]  # fmt: skip
JSON_STRICTER = [  # Python's json takes these, we do not
    *((text, "ERR_MODEL_HEADER") for text in (
        b"1.7976931348623159e308", b"1e309", b"-1e400", b"1e99999999999999999999",  # Python: infinity
        b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'"\\ud800\\ud800"', b'"\\ud83d\\n"',  # Python: half a pair
        b'"\\u0000"', b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65)),
    *((text, "ERR_MODEL_DUPLICATE_KEY") for text in (
        b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b'{"x":{"k":1,"j":2,"k":3}}', "{\"é\":1,\"\\u00e9\":2}".encode(),
        "{\"😀\":1,\"\\ud83d\\ude00\":2}".encode(), b'[{"":1,"b":2,"":3}]')),
]  # fmt: skip


def tree(value) -> str:
    """n, t, f; numbers as # and the bits of their double; strings as quoted hex; [a,b]; {'hex':a}."""
    if value is None or isinstance(value, bool):
        return {None: "n", True: "t", False: "f"}[value]
    if isinstance(value, (int, float)):
        return "#" + struct.pack(">d", float(value)).hex()
    if isinstance(value, str):
        return f"'{value.encode('utf-8', 'surrogatepass').hex()}'"
    if isinstance(value, list):
        return "[" + ",".join(map(tree, value)) + "]"
    return "{" + ",".join(f"{tree(k)}:{tree(v)}" for k, v in value.items()) + "}"


def json_line(text: bytes, stricter: str | None = None) -> str:
    # Python takes NaN and Infinity by default, and turns -0 into the integer 0; both are not JSON's doing.
    def refuse(word):
        raise ValueError(word)

    try:
        value = json.loads(text.decode(), parse_constant=refuse, parse_int=float)
    except ValueError:
        assert stricter is None
        return f"refuses {text.hex() or '-'} -"
    return f"stricter {text.hex()} {stricter}" if stricter else f"accepts {text.hex()} {tree(value)}"


def expected(name: str, data: bytes):
    """What the library reads from a good file."""
    tensors = dict(safetensors.deserialize(data))
    path = OUT / "good" / f"{name}.safetensors"
    with safetensors.safe_open(path, "pt") as file:
        order = file.offset_keys()  # in the order of their bytes
        metadata = file.metadata() or {}
    start = 8 + struct.unpack("<Q", data[:8])[0]
    at, lines = 0, []
    for key in order:
        t = tensors[key]
        content = bytes(t["data"])
        assert content == data[start + at : start + at + len(content)]
        dims = "x".join(map(str, t["shape"])) or "-"
        line = f"tensor {t['dtype']} {dims} {at} {at + len(content)} {zlib.crc32(content):08x} {hexed(key)}"
        lines.append((at, at + len(content), key.encode(), line))  # empty tensors at one place: by name
        at += len(content)
    assert start + at == len(data) and len(order) == len(tensors)
    yield f"file {name} {len(tensors)} {at}"
    yield from (f"meta {hexed(k)} {hexed(v)}" for k, v in sorted(metadata.items()))
    yield from (line for *_, line in sorted(lines))


def verdict(data: bytes) -> str:
    try:
        safetensors.deserialize(data)
        return "accepts"
    except safetensors.SafetensorError:
        return "refuses"


def write_lines(name: str, lines) -> None:
    (OUT / name).write_text("".join(line + "\n" for line in lines))


def main() -> None:
    for folder in ("good", "bad"):
        shutil.rmtree(OUT / folder, ignore_errors=True)
        (OUT / folder).mkdir(parents=True)
    lines = []
    for name, data in good_files():
        (OUT / "good" / f"{name}.safetensors").write_bytes(data)
        lines += expected(name, data)
    write_lines("expected.txt", lines)
    lines = []
    for name, data in bad_files():
        (OUT / "bad" / f"{name}.safetensors").write_bytes(data)
        lines.append(f"{verdict(data)} {name}")
    write_lines("bad.txt", lines)
    write_lines("json.txt", [*map(json_line, JSON_TEXTS), *(json_line(*case) for case in JSON_STRICTER)])
    (OUT / "README.md").write_text(
        f"Written by scripts/parity/golden_safetensors.py with safetensors {safetensors.__version__}; see there.\n"
    )
    print(sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()), "bytes in", OUT)


if __name__ == "__main__":
    main()
