"""Training steps of the 124M-parameter Llama: Triad, plain C in the style of llm.c and PyTorch, in one run.

Run with Debian's python3-torch and gcc:
    /usr/bin/python3 tests/bench/compare_train.py build/release/bin/triad [THREADS [STEP_TOKENS [ROUNDS [FILE.json]]]]

Same shape, as many tokens of sequences of 512 drawn from the whole vocabulary, same threads, update included; in turns,
ROUNDS measured steps each (1), after one that is not. Prints medians of seconds and of processor time, the loss before any
training (ln 32,000 = 10.37 for all of them: the same computation), and the ratios. Other programs' bf16 is PyTorch's
autocast; plain C has none.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def triad(program, threads, tokens, precision, folder):
    report = folder / "train.json"
    subprocess.run([program, "bench", "train", "--rounds", "1", "--threads", threads, "--step-tokens", tokens,
                    "--precision", precision, "--json", report], check=True, stdout=subprocess.DEVNULL)
    found = json.loads(report.read_text())
    return {"seconds": found["step (median)"]["value"], "processor_seconds": found["step, processor time"]["value"],
            "loss": found["loss of the first step"]["value"]}


def other(command, threads):
    done = subprocess.run(command, check=True, capture_output=True, text=True,
                          env=dict(os.environ, OMP_NUM_THREADS=threads))
    seconds, processor, loss = map(float, done.stdout.split())
    return {"seconds": seconds, "processor_seconds": processor, "loss": loss}


def main(program, threads="2", tokens="2048", rounds="1", report=None):
    torch = [sys.executable, HERE / "torch_train.py", threads, tokens]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        plain = folder / "plain_train"
        subprocess.run(["gcc", "-Ofast", "-march=native", "-fopenmp", "-o", plain, HERE / "plain_train.c", "-lm"],
                       check=True)
        peers = {
            "triad f32": lambda: triad(program, threads, tokens, "f32", folder),
            "triad bf16": lambda: triad(program, threads, tokens, "bf16", folder),
            "PyTorch f32": lambda: other(torch + ["f32"], threads),
            "PyTorch bf16": lambda: other(torch + ["bf16"], threads),
            "plain C": lambda: other([plain, tokens], threads),
        }
        measured = {peer: [] for peer in peers}
        for _ in range(int(rounds)):
            for peer, run in peers.items():
                measured[peer].append(run())
    found = {peer: {key: statistics.median(step[key] for step in steps) for key in steps[0]}
             for peer, steps in measured.items()}
    print(f"124M-parameter Llama, {tokens} tokens a step, {threads} threads, {rounds} rounds; load {os.getloadavg()[0]:.1f}")
    print(f"{'':14}{'loss':>8}{'seconds':>10}{'processor':>11}{'over f32':>10}{'over bf16':>11}   (processor time)")
    for peer, step in found.items():
        ratios = []
        for own in "f32", "bf16":
            base = found[f"triad {own}"]
            step[f"over_triad_{own}"] = step["seconds"] / base["seconds"]
            step[f"processor_over_triad_{own}"] = step["processor_seconds"] / base["processor_seconds"]
            ratios.append(step[f"processor_over_triad_{own}"])
        print(f"{peer:14}{step['loss']:8.3f}{step['seconds']:10.2f}{step['processor_seconds']:11.2f}"
              f"{ratios[0]:9.2f}x{ratios[1]:10.2f}x   by the wall {step['over_triad_f32']:.2f}x, "
              f"{step['over_triad_bf16']:.2f}x")
    if report:
        document = {"schema": "triad.compare-train/1", "tokens": int(tokens), "threads": int(threads),
                    "rounds": int(rounds), "load": os.getloadavg()[0], "step": found}
        pathlib.Path(report).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
