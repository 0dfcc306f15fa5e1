"""Tests of the tests: small faults are put into skvae, one at a time; do the tests of that module find them?

``OMP_NUM_THREADS=1 python benchmarks/mutants.py [--modules NAME ...] [--per-module N] [--seed N] [--limit SECONDS]
[--minutes M] [--results DIR]``. A fault is another comparison, operator, constant or condition, two arguments in the
wrong order, or a statement that is missing. N faults of each module are drawn with a seed. The tests that mutants.toml
names run on each, in a fork and in a copy of the tree: the fault is killed (a test fails), survived, or undecided (the
limit came first). At the end the tests that found a fault run once without any, and must pass. DIR gets mutants.json,
after each fault, and mutants.md. A run with the same DIR goes on, and tries again what was not killed and has no
"reason": a person writes those into mutants.json.
"""

import argparse
import ast
import contextlib
import copy
import importlib
import itertools
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from pathlib import Path

import harness

TESTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
# an operator, and what it is changed to
SWAPS = """Lt LtE Gt, LtE Lt, Gt GtE Lt, GtE Gt, Eq NotEq, NotEq Eq, Is IsNot, IsNot Is, In NotIn, NotIn In, And Or,
Or And, Add Sub, Sub Add, Mult Div, Div Mult, FloorDiv Mult, Mod FloorDiv, Pow Mult, BitAnd BitOr, BitOr BitAnd"""
SWAPS = {name: others for name, *others in map(str.split, SWAPS.split(","))}
COMMUTATIVE = re.compile(r"(\w+\.)*(min|max)(imum)?$")


def replacements(node):
    """The faults of one node: (kind, what stands in its place)."""
    if isinstance(node, ast.Compare):
        for other in SWAPS[type(node.ops[0]).__name__]:
            yield "operator", changed(node, ops=[getattr(ast, other)(), *node.ops[1:]])
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        for other in SWAPS.get(type(node.op).__name__, ()):
            yield "operator", changed(node, op=getattr(ast, other)())
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "constant", ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.UnaryOp):
        yield "sign", node.operand
    elif isinstance(node, ast.If | ast.IfExp):
        yield "condition", changed(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Call) and len(node.args) > 1 and not COMMUTATIVE.match(ast.unparse(node.func)):
        yield "arguments", changed(node, args=[node.args[1], node.args[0], *node.args[2:]])
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield "statement", ast.Pass()
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript):
        yield "statement", ast.Pass()


def changed(node, **fields):
    node = copy.copy(node)
    vars(node).update(fields)
    return node


def places(node, path=()):
    """Where the nodes are: (field, index or None) from the top; without annotations and texts."""
    yield path
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns"):
            continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield from places(child, (*path, (field, i)))


def at(tree, path):
    for field, i in path:
        tree = getattr(tree, field) if i is None else getattr(tree, field)[i]
    return tree


def faults(name, n, seed):
    """N faults of a module that are drawn with a seed: (its name, the source)."""
    source = (harness.ROOT / source_file(name)).read_text()
    tree = ast.parse(source)
    every = [(path, i) for path in places(tree) for i, _ in enumerate(replacements(at(tree, path)))]
    for path, i in random.Random(f"{seed} {name}").sample(every, min(n, len(every))):
        tree = ast.parse(source)
        old, parent, (field, index) = at(tree, path), at(tree, path[:-1]), path[-1]
        kind, new = list(replacements(old))[i]
        before, after = (ast.unparse(node).partition("\n")[0][:100] for node in (old, new))
        setattr(parent, field, new) if index is None else getattr(parent, field).__setitem__(index, new)
        yield f"{name}, line {old.lineno}, {kind}: {before} -> {after}", ast.unparse(ast.fix_missing_locations(tree))


def source_file(name):
    return f"skvae/{name.replace('.', '/')}.py"


def tests_of(name):
    return [source_file(name), *(re.sub(r"^(core/)?", r"tests/\1test_", test) + ".py" for test in TESTS[name].split())]


def run(folder, tests, limit):
    """(what became of it, the first test that failed, seconds) of tests in a fork of this process."""
    import pytest

    log, started, status = folder / "log", time.monotonic(), None
    if (child := os.fork()) == 0:
        os.setsid()
        os.chdir(folder)
        os.environ["PYTHONPATH"] = sys.path[0] = str(folder)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        try:
            os._exit(pytest.main(["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-n", "0", *tests]))
        except BaseException:
            traceback.print_exc()
            os._exit(9)
    while status is None and time.monotonic() - started < limit:
        time.sleep(0.02)
        ended, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if ended else None
    with contextlib.suppress(ProcessLookupError):  # with what the tests started
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", log.read_text(errors="replace"), re.MULTILINE)
    result = {None: "undecided", 0: "survived"}.get(status, "killed")
    return {"result": result, "by": failed and failed[1], "seconds": round(time.monotonic() - started, 1)}


def of_modules(runs):
    """Without the faults of modules that are gone."""
    return {key: run for key, run in runs.items() if key.partition(",")[0] in TESTS}


def report(record):
    """What was found in each module, and the survivors, as markdown."""
    counts = {"all": Counter(run["result"] for run in record.runs.values())}
    for key, run in record.runs.items():
        counts.setdefault(key.partition(",")[0], Counter())[run["result"]] += 1
    columns = ("killed", "undecided", "survived")
    rows = [[name, *(count[column] for column in columns)] for name, count in counts.items()]
    left = [
        f"- {run['result']}: `{key}`: {run.get('reason', '?')}"
        for key, run in record.runs.items()
        if run["result"] != "killed"
    ]
    about = record.about["machine"]
    made = f"`{record.about['command']}`, {about['date']}, {about['processor']}, Python {about['python']}."
    head = f"{made} {record.about.get('note', '')}\n"
    return "\n".join([head, harness.markdown_table(["module", *columns], rows), "Not killed:\n", *left]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--modules", nargs="+", choices=TESTS, default=list(TESTS), metavar="NAME")
    parser.add_argument("--per-module", type=int, default=12, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=300, metavar="SECONDS", help="of the tests of one fault")
    parser.add_argument("--minutes", type=float, default=600, metavar="M", help="after so long no fault is begun")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "mutants", metavar="DIR")
    args = parser.parse_args()
    started, record = time.monotonic(), harness.Record(args.results / "mutants")
    record.about["runs"] = of_modules(record.runs)
    record.about["command"] = " ".join(["OMP_NUM_THREADS=1 python", *sys.argv])
    sys.dont_write_bytecode = True  # two faults within a second would share a file
    for library in ("pandas", "pytest", "sklearn.model_selection", "torch"):  # once, for all forks
        importlib.import_module(library)
    drawn = {name: list(faults(name, args.per_module, args.seed)) for name in args.modules}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder) / "copy"
        shutil.copytree(harness.ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv*", ".envs", "_build"))
        for i, name in itertools.product(range(args.per_module), args.modules):
            key, source = drawn[name][i] if i < len(drawn[name]) else (None, None)
            known = record.runs.get(key, {"result": "survived"})
            if key is None or known["result"] == "killed" or "reason" in known:
                continue
            if time.monotonic() - started > 60 * args.minutes:
                break
            (folder / source_file(name)).write_text(source)
            record.add(key, run(folder, tests_of(name), args.limit))
            shutil.copy(harness.ROOT / source_file(name), folder / source_file(name))
            print(key, record.runs[key], flush=True)
            harness.write(report(record), args.results / "mutants.md")
        found_by = {run["by"].partition("[")[0] for run in record.runs.values() if run["by"]}
        clean = run(folder, sorted(found_by), 100 * args.limit)
        if clean["result"] != "survived":
            raise SystemExit(f"Without a fault the tests that found one must pass: {clean}.")


if __name__ == "__main__":
    main()
