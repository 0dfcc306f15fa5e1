"""Recommendations over HTTP, for visitors whom fit never saw.

``SKVAE_MODEL=model.skvae OMP_NUM_THREADS=1 uvicorn --app-dir examples --factory serve:create_app`` serves a model
that skvae.save saved, with ``--workers N`` in N processes that share the memory-mapped weights. Needs the extra
``serve``; how fast it is, benchmarks/serve.py measures.

    curl -H 'Content-Type: application/json' -d '{"items": [3, 11], "k": 5}' http://127.0.0.1:8000/recommend

answers {"items": [43, ...], "scores": [1.93, ...]}, best first, without the visitor's own items. Items are columns of
the matrix that fit got.
"""

import os
from typing import Annotated

import numpy as np
import scipy.sparse as sp
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

import skvae


def create_app():
    model = skvae.load(os.environ["SKVAE_MODEL"], mmap_mode="r")
    n_items = model.n_features_in_
    app = FastAPI(title=type(model).__name__)

    class Visitor(BaseModel):
        model_config = ConfigDict(strict=True, extra="forbid")
        items: Annotated[list[Annotated[int, Field(ge=0, lt=n_items)]], Field(max_length=n_items)]
        k: Annotated[int, Field(ge=1, le=min(n_items, 1000))] = 10

    class Recommendations(BaseModel):
        items: list[int]
        scores: list[float]

    @app.post("/recommend")
    def recommend(visitor: Visitor) -> Recommendations:
        seen = np.unique(np.array(visitor.items, dtype=np.int64))
        X = sp.csr_array((np.ones(len(seen), np.float32), seen, [0, len(seen)]), shape=(1, n_items))
        items, scores = (row[0] for row in model.recommend(X, k=visitor.k))
        return Recommendations(items=items[items >= 0].tolist(), scores=scores[items >= 0].tolist())

    @app.get("/health")
    def health() -> dict[str, str | int]:
        return {"status": "ok", "model": type(model).__name__, "n_items": n_items}

    recommend(Visitor(items=[]))  # the first visitor does not wait for what is set up on first use
    return app
