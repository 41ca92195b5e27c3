"""Writes the golden set, or compares two of them. Run by `npm run golden`; see README.md.

usage: golden.py write DIR | golden.py compare FRESH COMMITTED
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

TOLERANCE = 3e-5  # max|a - b| / max|b|: another processor sums in another order, which ten steps of Adam carry to 7e-6
SIZE_MAX = 4_000_000
MATRIX = json.loads((Path(__file__).parent / "matrix.json").read_text())


def write(folder: Path):
    # Imported here because only writing needs them.
    from reference import base_model, micro_batch, row

    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.safetensors"), *folder.glob("*.json")]:
        old.unlink()
    for family in MATRIX["families"]:
        save_file(dict(base_model(family).named_parameters()), folder / f"{family['name']}.safetensors")
        batches = [micro_batch(family, rows, MATRIX["time"], i) for i, rows in enumerate(MATRIX["microBatches"])]
        listed = [{key: tensor.tolist() for key, tensor in batch.items()} for batch in batches]
        save_json(folder / f"{family['name']}.json", {"microBatches": listed})
        for name, method, optimizer in rows_of(family):
            tensors, numbers = row(MATRIX, family, method, optimizer)
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / f"{name}.safetensors")
            save_json(folder / f"{name}.json", numbers)
            losses, norms = numbers["losses"], numbers["gradNorms"]
            print(f"{name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, gradient norm {norms[0]:.2f} -> {norms[-1]:.2f}")


def rows_of(family):
    """(name, method, optimiser): the methods that the family names with the first optimiser; where it names none, all of them, and
    further optimisers with the methods that they name."""
    first, *others = MATRIX["optimizers"]
    for method in MATRIX["methods"]:
        if method["name"] not in family.get("methods", [method["name"]]):
            continue
        name = f"{family['name']}.{method['name']}"
        yield name, method, first
        for other in others:
            if "methods" not in family and method["name"] in other["methods"]:
                yield f"{name}.{other.get('name', other['type'])}", method, other


def save_json(path: Path, value):
    path.write_text(json.dumps(value) + "\n")


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """max|a - b| / max|b|; infinite when shapes differ or a number is missing."""
    if a.shape != b.shape or not bool(a.isfinite().all()):
        return float("inf")
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()


def load(path: Path):
    if path.suffix == ".safetensors":
        return load_file(path)
    content = json.loads(path.read_text())
    if "microBatches" in content:
        content = {f"{i}.{key}": value for i, batch in enumerate(content["microBatches"]) for key, value in batch.items()}
    return {key: torch.tensor(value, dtype=torch.float64) for key, value in content.items()}


def compare(fresh: Path, committed: Path) -> int:
    names = lambda folder: {path.name for path in folder.iterdir()}
    failures = [f"{name} is only in one of the two sets" for name in names(fresh) ^ names(committed)]
    for name in sorted(names(fresh) & names(committed)):
        ours, theirs = load(fresh / name), load(committed / name)
        failures += [f"{name}: {key} is only in one of the two sets" for key in ours.keys() ^ theirs.keys()]
        found = {key: difference(ours[key], theirs[key]) for key in ours.keys() & theirs.keys()}
        worst = max(found, key=found.get)
        print(f"{name:32} worst difference {found[worst]:.1e} ({worst})")
        failures += [f"{name}: {key} differs by {value:.1e}" for key, value in found.items() if value > TOLERANCE]
    size = sum(path.stat().st_size for path in committed.iterdir())
    print(f"{len(names(committed))} files, {size} bytes")
    if size > SIZE_MAX:
        failures.append(f"the committed set has {size} bytes, more than {SIZE_MAX}")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


def main(arguments):
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    match arguments:
        case ["write", folder]:
            write(Path(folder))
            return 0
        case ["compare", fresh, committed]:
            return compare(Path(fresh), Path(committed))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
