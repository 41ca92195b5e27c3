"""
What NumPy (LAPACK, doubles) finds in updates of small weights; packages/lm/test/lab/layer-lab.test.ts compares.
usage: pip install numpy==2.3.5; python scripts/lab/references.py > packages/lm/test/lab/references.json
"""

import json

import numpy as np

draw = np.random.default_rng(11)
single = lambda x: np.asarray(x, np.float32).astype(np.float64)  # numbers that the other side reads without rounding


def figures(weight, update, k):
    u0, s0, vh0 = np.linalg.svd(weight, full_matrices=False)
    u, s, vh = np.linalg.svd(update, full_matrices=False)
    tuned = np.linalg.svd(weight + update, full_matrices=False)[0]
    energy = np.cumsum(s**2) / np.sum(s**2)
    own = min(k, np.linalg.matrix_rank(np.asarray(update, np.float32)))
    return {
        "values": s.tolist(),
        "relative": float(np.linalg.norm(update) / np.linalg.norm(weight)),
        "rank90": int(np.argmax(energy >= 0.9)) + 1,
        "stableRank": float(np.linalg.norm(update) ** 2 / s[0] ** 2),
        "overlap": {
            "k": int(own),
            "left": float(np.linalg.norm(u0[:, :own].T @ u[:, :own]) ** 2 / own),
            "right": float(np.linalg.norm(vh0[:own] @ vh[:own].T) ** 2 / own),
        },
        "cosines": np.abs(u0.T @ tuned[:, :k]).max(axis=0).tolist(),
    }


def case(name, out, inner, k, update, thin=None):
    weight = single(draw.normal(0, 0.3, (out, inner)))
    row = {"name": name, "k": k, "weight": weight.tolist(), **figures(weight, update, k)}
    return row | ({"b": thin[0].tolist(), "a": thin[1].tolist()} if thin else {"update": update.tolist()})


def thin(name, out, inner, rank, k, size):
    b, a = single(draw.normal(0, size, (out, rank))), single(draw.normal(0, size, (rank, inner)))
    return case(name, out, inner, k, b @ a, (b, a))


dense = lambda name, out, inner, k, size: case(name, out, inner, k, single(draw.normal(0, size, (out, inner))))

rows = [
    dense("wide, small", 9, 16, 5, 0.01),
    dense("tall, large", 17, 8, 5, 0.5),
    dense("square, more directions asked for than there are", 6, 6, 6, 0.2),
    thin("thin, wide", 10, 18, 3, 6, 0.4),
    thin("thin, tall, of rank 1", 15, 7, 1, 4, 0.9),
    thin("factors wider than the matrix", 5, 7, 9, 4, 0.3),
]
print(json.dumps({"numpy": np.__version__, "cases": rows}, separators=(",", ":")))
