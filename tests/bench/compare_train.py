"""Training steps of the 124M-parameter Llama: Triad, plain C in the style of llm.c and PyTorch, in one run.

Run with Debian's python3-torch and gcc:
    /usr/bin/python3 tests/bench/compare_train.py build/release/bin/triad [THREADS] [STEP_TOKENS]

Same shape, as many random tokens, same threads; one measured step each, after one that is not. Prints seconds,
seconds of processor time and the ratios.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def triad(program, threads, tokens, precision, folder):
    report = folder / "train.json"
    subprocess.run([program, "bench", "train", "--rounds", "1", "--threads", threads, "--step-tokens", tokens,
                    "--precision", precision, "--json", report], check=True, stdout=subprocess.DEVNULL)
    found = json.loads(report.read_text())
    return found["step (median)"]["value"], found["step, processor time"]["value"]


def other(command, threads):
    done = subprocess.run(command, check=True, capture_output=True, text=True,
                          env=dict(os.environ, OMP_NUM_THREADS=threads))
    return tuple(float(x) for x in done.stdout.split())


def main(program, threads="2", tokens="4096"):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        plain = folder / "plain_train"
        subprocess.run(["gcc", "-Ofast", "-march=native", "-fopenmp", "-o", plain, HERE / "plain_train.c", "-lm"],
                       check=True)
        rows = {
            "triad f32": triad(program, threads, tokens, "f32", folder),
            "triad bf16": triad(program, threads, tokens, "bf16", folder),
            "plain C": other([plain, tokens, "1"], threads),
            "PyTorch": other([sys.executable, HERE / "torch_train.py", threads, tokens, "1"], threads),
        }
    base = rows["triad f32"]
    print(f"124M-parameter Llama, {tokens} tokens a step, {threads} threads")
    for name, (wall, cpu) in rows.items():
        print(f"{name:12} {wall:8.2f} s  {cpu:8.2f} s of processor time; over triad f32: {wall / base[0]:.2f} x, "
              f"in processor time {cpu / base[1]:.2f} x")


if __name__ == "__main__":
    main(*sys.argv[1:])
