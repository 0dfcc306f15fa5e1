"""Which rule for a default holds on data that nobody chose it on.

``python benchmarks/rules.py [NAME ...] [--seeds N] [--models M,M] [--rules "A;B"] [--test-size S] [--patience N]
[--precision P] [--jobs N] [--device D] [--results DIR]``. Data as in accuracy.py, and besides "anime-medium", the
popular half of anime's items with those who know many, for sets of medium density, and "gowalla-heavy", the users of
gowalla-train with long histories, for a long tail; strong generalization, a split a seed, all else default, NDCG@100 on
the test users. +- is the standard error over users and splits, of a difference user by user. The last table takes each
set away in turn: the rule with the best mean rank on the others, and how far it is behind the best one on that set. DIR
gets NAME.json, NAME.npz and rules.md; what is on record is not run again.
"""

import argparse
from pathlib import Path

import harness
import joblib
import numpy as np
from accuracy import mean_and_error, pooled
from real_data import NAMES, load

import skvae

METRIC = "ndcg@100"
MODELS = {"MultDAE": skvae.MultDAERecommender, "MultVAE": skvae.MultVAERecommender}
RULES = {
    f"{target}, {initialization}": {"target": target, "initialization": initialization}
    for initialization in ("ease", "svd", "xavier")
    for target in ("dropped", "all")
}
OF_KL = {f"per_user, {rule}": parameters | {"kl_weighting": "per_user"} for rule, parameters in RULES.items()}
RULES_OF = {"MultDAE": RULES, "MultVAE": RULES | OF_KL}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = (*NAMES, "anime-medium", "gowalla-heavy")
    parser.add_argument("names", nargs="*", default=names, metavar="NAME", help=f"default {', '.join(names)}")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS), metavar="M,M")
    parser.add_argument("--rules", type=lambda text: text.split(";"), default=list(RULES | OF_KL), metavar="A;B")
    parser.add_argument("--test-size", type=float, default=0.2, metavar="S", help="share of the users")
    parser.add_argument("--patience", type=int, metavar="N", help="n_iter_no_change, default as the estimators have it")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="fits side by side, a thread each")
    parser.add_argument("--device", default="auto", help="a torch device")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "rules", metavar="DIR")
    args = parser.parse_args()
    run(args)
    harness.show(f"# Rules for the defaults\n\n{tables(args.results)}", args.results / "rules.md")


def run(args):
    records = {name: harness.Record(args.results / name) for name in args.names}
    common = {"precision": args.precision, "device": args.device, "n_iter_no_change": args.patience or "auto"}
    tasks = (
        joblib.delayed(fit)(
            MODELS[model], common | RULES_OF[model][rule], name, seed, args.test_size, f"{model}: {rule}, {seed}"
        )
        for seed in range(args.seeds)
        for model in args.models
        for name in args.names
        for rule in args.rules
        if rule in RULES_OF[model] and f"{model}: {rule}, {seed}" not in records[name]
    )
    harness.fit_all(tasks, records, args.jobs)


def fit(kind, parameters, name, seed, test_size, key):
    split = skvae.strong_generalization_split(load(name), test_size=test_size, random_state=seed)
    model = kind(random_state=seed, **parameters).fit(split.train, X_val=split.validation)
    per_user = skvae.evaluate(model, split.test, METRIC).per_user[METRIC]
    result = {
        METRIC: mean_and_error(per_user),
        "epochs": model.best_iter_,
        "parameters": parameters,
    }
    return (name, key), result | {"shape": split.train.shape}, per_user


def tables(results):
    records = [harness.Record(path) for path in sorted(results.glob("*.json"))]
    return "\n".join(part for model in MODELS for part in (table_of(model, records), judged(model, records)) if part)


def runs_of(record, model, rule):
    return {key.rpartition(", ")[2]: key for key in record.runs if key.startswith(f"{model}: {rule}, ")}


def difference(record, model, rule, other):
    """Of two rules user by user on the splits that both have: mean and standard error as text, and the mean."""
    one, two = runs_of(record, model, rule), runs_of(record, model, other)
    differences = [
        mean_and_error(record.per_user[one[seed]] - record.per_user[two[seed]])
        for seed in sorted(one.keys() & two.keys())
    ]
    return (pooled(differences), float(np.mean(differences, axis=0)[0])) if differences else ("", np.nan)


def table_of(model, records):
    first = next(iter(RULES_OF[model]))
    header = ["data", "train", "model", "rule", METRIC, f"above {first}", "best epoch", "splits"]
    rows = []
    for record in records:
        for rule in RULES_OF[model]:
            runs = [record.runs[key] for key in runs_of(record, model, rule).values()]
            if runs:
                above = "" if rule == first else difference(record, model, rule, first)[0]
                epochs = np.mean([run["epochs"] for run in runs])
                row = [record.path.stem, " x ".join(map(str, runs[0]["shape"])), model, rule]
                rows.append([*row, pooled([run[METRIC] for run in runs]), above, f"{epochs:.0f}", len(runs)])
    return harness.markdown_table(header, rows) if rows else ""


def judged(model, records):
    """Each set with the rule that the others choose, of the rules that all sets have."""
    records = [record for record in records if any(runs_of(record, model, rule) for rule in RULES_OF[model])]
    rules = [rule for rule in RULES_OF[model] if all(runs_of(record, model, rule) for record in records)]
    if len(records) < 2 or len(rules) < 2:
        return ""
    above = np.array([[difference(record, model, rule, rules[0])[1] for rule in rules] for record in records])
    ranks = (-above).argsort(1).argsort(1) + 1.0  # of each set, (n_sets, n_rules)
    rows = []
    for record, own, others in zip(records, above, (ranks.sum(0) - ranks) / (len(records) - 1), strict=True):
        chosen, best = rules[others.argmin()], rules[own.argmax()]
        behind = "" if chosen == best else difference(record, model, chosen, best)[0]
        rows.append([record.path.stem, model, chosen, best, behind])
    return harness.markdown_table(["data", "model", "rule of the other sets", "best rule", "above the best"], rows)


if __name__ == "__main__":
    main()
