"""Charts of what benchmarks/ recorded, drawn anew for each build of the site."""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import accuracy as measured_accuracy
import speed as measured_speed
from harness import RESULTS

OURS, OTHERS, INK = "#3f7fc8", "#9aa3ad", "#7a828c"  # to be seen on white and on black
# name in the records -> on the chart
MODELS = {
    "Blend": "skvae Blend",
    "Linear": "skvae Linear",
    "MultDAE": "skvae Mult-DAE",
    "MultVAE": "skvae Mult-VAE",
    "EASE": "EASE^R, tuned",
    "implicit ALS": "ALS, implicit",
    "irspack MultVAE": "Mult-VAE, irspack",
    "Cornac VAECF": "Mult-VAE, Cornac",
    "RecBole MultiVAE": "Mult-VAE, RecBole",
    "popularity": "popularity",
}


def draw_all(folder):
    """Write accuracy.svg and speed.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (("accuracy", accuracy()), ("speed", speed())):
        figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None})


def accuracy():
    """NDCG@100 on the test users of each set, with standard errors."""
    paths = sorted((RESULTS / "accuracy").glob("*.json"))
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panels = figure.subplots(1, len(paths), sharey=True)
    places = np.arange(len(MODELS))[::-1]
    for axes, path in zip(panels, paths, strict=True):
        runs = json.loads(path.read_text())["runs"]
        for place, (model, label) in zip(places, MODELS.items(), strict=True):
            values = [run["ndcg@100"] for key, run in runs.items() if key.rpartition(", split ")[0] == model]
            if not values:
                continue
            mean, error = measured_accuracy.over_splits(values)
            color = OURS if label.startswith("skvae") else OTHERS
            axes.barh(place, mean, 0.7, xerr=error, color=color, ecolor=INK, error_kw={"elinewidth": 1})
        axes.set_title(path.stem.removesuffix("-100k").replace("-", "\n"), color=INK, fontsize=9)
        _dress(axes)
    panels[0].set_yticks(places, list(MODELS.values()))
    figure.supxlabel("NDCG@100 of users never seen", color=INK, fontsize=9)
    return figure


def speed():
    """Users per second in training, medians of the rounds."""
    runs = json.loads((RESULTS / "speed" / "speed.json").read_text())["runs"]
    models = list(dict.fromkeys(run["model"] for run in runs))
    figure = Figure(figsize=(8, 2.7), layout="constrained")
    for axes, model in zip(figure.subplots(1, len(models)), models, strict=True):
        of_model = {}
        for run in runs:
            if run["model"] == model and not run["contestant"].startswith("floor"):
                of_model.setdefault(run["contestant"], []).append(run)
        of_rounds = measured_speed.speeds(of_model, measured_speed.trained_per_second)
        speeds = {name: np.median(values) for name, values in of_rounds.items()}
        names = sorted(speeds, key=speeds.get)
        colors = [OURS if name.startswith("skvae") else OTHERS for name in names]
        bars = axes.barh(names, [speeds[name] for name in names], 0.7, color=colors)
        axes.bar_label(bars, fmt="{:,.0f}", color=INK, fontsize=8, padding=3)
        axes.set_title(model, color=INK, fontsize=9)
        axes.margins(x=0.15)
        _dress(axes)
    figure.supxlabel("users per second in training", color=INK, fontsize=9)
    return figure


def _dress(axes):
    axes.tick_params(colors=INK, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
