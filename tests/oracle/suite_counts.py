#!/usr/bin/env python3
"""Rows and groups of the suite's tasks, counted from the real files with nothing but Python's own
csv and json modules.

usage: tests/oracle/suite_counts.py ../shared/data/suite > tests/golden/suite/counts.json
"""
import csv
import glob
import json
import os
import sys

DATA = sys.argv[1]
csv.field_size_limit(1 << 30)


def path(*parts):
    return os.path.join(DATA, *parts)


def table(name, encoding="utf-8-sig", **options):
    with open(name, newline="", encoding=encoding) as file:
        return list(csv.DictReader(file, **options))


def lines(name):
    with open(name, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def polis():
    votes, comments = 0, 0
    voters, talks = set(), set()
    for folder in sorted(glob.glob(path("polis", "*/"))):
        texts = {c["comment-id"]: c["comment-body"] for c in table(folder + "comments.csv")}
        good = {i for i, text in texts.items() if len(text.split()) >= 4}
        comments += len(good)
        talks.add(folder)
        place = 0
        for row in table(folder + "participants-votes.csv"):
            given = {k: v for k, v in row.items() if k.isdigit() and v != ""}
            if len(given) < 4:
                continue
            place += 1
            cast = [k for k, v in given.items() if k in good and v in ("1", "0", "-1")]
            if place <= 500 and cast:
                votes += len(cast)
                voters.add((folder, row["participant"]))
    return {"polis_vote": (votes, len(voters)), "polis_comment": (comments, len(talks))}


def ambient():
    full = lines(path("ambient", "AmbiEnt", "ambient_full.jsonl"))
    experts = lines(path("ambient", "AmbiEnt", "linguist_annotations.jsonl"))
    crowd = lines(path("ambient", "AmbiEnt", "analysis", "crowdworker_annotations.jsonl"))
    given = [(w, a) for e in experts for w, a in zip(e["worker_ids"], e["annotations"]) if a]
    return {
        "ambient_premise_hypothesis": (len(full), 1),
        "ambient_ambiguity_detection": (len(full), 1),
        "ambient_disambiguation": (sum(len(x["disambiguations"]) for x in full), 1),
        "ambient_linguist_annotations": (len(given), len({w for w, _ in given})),
        "ambient_interpretation_labels": (sum(label is not None for x in crowd for label, _ in
                                              zip(x["labels"], x["interpretations"])), 1),
        "ambient_annotation_distributions": (len(crowd), 1),
    }


def diffuse():
    found, files = 0, 0
    for name in glob.glob(path("diffuse_distributions", "prompts", "*", "*.json")):
        targets = json.load(open(name, encoding="utf-8"))["targets"]
        kept = [t for t in targets if t.replace("{", "").replace("}", "").strip()]
        found += len(kept)
        files += bool(kept)
    return {"diffuse_distribution": (found, files)}


def benchmarks():
    mmlu = sum(len(table(f)) for f in glob.glob(path("mmlu_hendrycks", "data", "mmlu", "test", "*.csv")))
    truthful = table(path("truthful_qa", "datasets", "TruthfulQA.csv"))
    good = sum(any(w.strip() and w.strip() != t["Best Answer"].strip()
                   for w in t["Incorrect Answers"].split(";")) for t in truthful)
    return {
        "gsm8k_question": (len(lines(path("gsm8k", "grade_school_math", "data", "train.jsonl"))), 1),
        "arc": (len(lines(path("arc", "ARC-Challenge", "ARC-Challenge-Test.jsonl"))), 1),
        "mmlu": (mmlu, 1),
        "truthful_qa": (good, 1),
        "winogrande": (len(lines(path("winogrande", "winogrande.jsonl"))), 1),
    }


def surveys():
    items = json.load(open(path("globaloqa", "vital_distributional_globalopinionqa.json"), encoding="utf-8"))
    items = [i for i in items if len(i["options"]) == len(i["gold_distribution"])]
    numbers = sum(len([l for l in open(f) if l.strip()]) for f in glob.glob(path("numbergame", "tenenbaum_data", "*.csv")))
    films = [r for r in table(path("movielens", "movielens.csv")) if r["title"] != "NA"]
    molecules = table(path("chemistry", "paper", "dataset", "data", "esol_iupac.csv"))
    questions = {(kind, q["question"]) for kind in ("controversial", "uncontroversial")
                 for q in lines(path("valueconsistency", "data", kind + "_english_us.jsonl"))}
    return {
        "globaloqa": (len(items), len({i["attribute"] for i in items})),
        "numbergame_perc": (numbers, 1),
        "movielens_individual_ratings": (len(films), len({r["userId"] for r in films})),
        "valueconsistency": (len(questions), 1),
        "chemistry_esol": (sum(all(m[k] for k in ("SMILES", "SELFIES", "InChI", "IUPAC")) for m in molecules), 1),
        "titanic_survival_prediction": (len(table(path("titanic", "titanic_seaborn.csv"))), 1),
    }


def main():
    counts = {}
    for part in (polis, ambient, diffuse, benchmarks, surveys):
        counts.update(part())
    print(json.dumps({"command": "tests/oracle/suite_counts.py ../shared/data/suite",
                      "tasks": {k: {"rows": r, "groups": g} for k, (r, g) in sorted(counts.items())}}, indent=1))


main()
