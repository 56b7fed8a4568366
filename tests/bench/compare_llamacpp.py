"""Scoring one sequence: Triad and llama.cpp, same weights, tokens, threads and precision, in one run.

Run after tests/oracle/fetch_llamacpp build/oracle, with Debian's python3-numpy and gcc:
    /usr/bin/python3 tests/bench/compare_llamacpp.py build/release/bin/triad build/oracle [f32|bf16] [THREADS] [ROUNDS]

Needs some 6 GB of disk in build/oracle for the Qwen3-0.6B shape with a 32k vocabulary. Programs take turns, one
round each; printed are medians, by the wall's clock and in processor time, and the ratios.
"""
import json
import pathlib
import statistics
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))
import families_llamacpp as oracle  # noqa: E402

SHAPE, TOKENS = "qwen3-0.6b-32k", "1000"


def read_safetensors(path):
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + size)
    return {name: as_float(data[slice(*t["data_offsets"])], t["dtype"]).reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__"}


def as_float(raw, dtype):
    if dtype == "BF16":
        return (raw.view("<u2").astype("<u4") << 16).view("<f4")
    return raw.view("<f4")


def rounded(value):
    """To the nearest bf16, as uint16."""
    bits = np.ascontiguousarray(value, dtype="<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_gguf(path, fields, tensors, precision):
    """Like the oracle's, matrices in `precision`, without holding all of them in memory."""
    import struct
    kinds = {name: 30 if precision == "bf16" and value.ndim > 1 else 0 for name, value in tensors.items()}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(oracle.gguf_text(key) + oracle.gguf_value(value) for key, value in fields.items())
    offset = 0
    for name, value in tensors.items():
        shape = value.shape[::-1]
        head += oracle.gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kinds[name], offset)
        size = value.size * (2 if kinds[name] else 4)
        offset += size + -size % 32
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32))
        for name, value in tensors.items():
            raw = (rounded(value) if kinds[name] else np.ascontiguousarray(value, dtype="<f4")).tobytes()
            f.write(raw + b"\0" * (-len(raw) % 32))


def prepare(triad, work, precision):
    folder = work / f"bench-{SHAPE}-{precision}"
    gguf = work / f"bench-{SHAPE}-{precision}.gguf"
    if not (folder / "ids.bin").exists():
        subprocess.run([triad, "bench", "score", "--shape", SHAPE, "--tokens", TOKENS, "--save", folder, "--rounds", "1",
                        "--precision", precision],
                       check=True, stdout=subprocess.DEVNULL)
    if not gguf.exists():
        config = {key: value for key, value in json.loads((folder / "config.json").read_text()).items()
                  if value is not None}
        weights = read_safetensors(folder / "model.safetensors")
        write_gguf(gguf, oracle.gguf_fields(config), oracle.gguf_tensors(weights, config), precision)
    source, driver = HERE / "llamacpp_score.c", work / "llamacpp_score"
    bins = (work / oracle.BINS).resolve()
    subprocess.run(["gcc", "-O2", "-o", driver, source, f"-I{work}/llama.cpp/include", f"-I{work}/llama.cpp/ggml/include",
                    *sorted(bins.glob("libllama.v*.so")), *sorted(bins.glob("libggml.v*.so")), f"-Wl,-rpath,{bins}",
                    "-Wl,--allow-shlib-undefined", "-lm"], check=True)
    return folder, gguf, driver, bins


def main(triad, work, precision="f32", threads="2", rounds="3"):
    work = pathlib.Path(work).resolve()
    folder, gguf, driver, bins = prepare(triad, work, precision)
    ours, theirs = [], []
    for _ in range(int(rounds)):
        report = work / "bench-score.json"
        subprocess.run([triad, "bench", "score", "--shape", SHAPE, "--tokens", TOKENS, "--model", folder, "--rounds", "1",
                        "--precision", precision, "--threads", threads, "--json", report],
                       check=True, stdout=subprocess.DEVNULL)
        found = json.loads(report.read_text())
        ours.append([found[key]["value"] for key in ("scoring, logits at every position", "scoring, processor time",
                                                     "nats of the sequence")])
        done = subprocess.run([driver, bins, gguf, folder / "ids.bin", threads, "1"], check=True, capture_output=True,
                              text=True)
        theirs.append([float(x) for x in done.stdout.split()])
    mine, other = ([statistics.median(column) for column in zip(*rows)] for rows in (ours, theirs))
    print(f"{SHAPE}, {TOKENS} tokens, {precision}, {threads} threads, medians of {rounds} rounds")
    print(f"triad      {mine[0]:8.2f} s  {mine[1]:8.2f} s of processor time  {mine[2]:.3f} nats")
    print(f"llama.cpp  {other[0]:8.2f} s  {other[1]:8.2f} s of processor time  {other[2]:.3f} nats")
    print(f"llama.cpp over triad: {other[0] / mine[0]:.2f} x, in processor time {other[1] / mine[1]:.2f} x")


if __name__ == "__main__":
    main(*sys.argv[1:])
