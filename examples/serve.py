"""Recommendations over HTTP, for visitors whom fit never saw.

    export OMP_NUM_THREADS=1
    python examples/serve.py model.skvae --workers 2

serves a file of skvae.save, or of joblib where its name ends with .joblib: a model, a
Pipeline, or ``(encoder, model)``. Each worker loads it, and all share the memory-mapped
weights. Without a name, the environment's SKVAE_MODEL is one. Needs the extra ``serve``.

    curl -d '{"visitors": [["tea", "gin"], []], "k": 5}' http://127.0.0.1:8000/recommend

answers one {"items": ["jam", ...], "scores": [1.93, ...], "unknown": ["gin"]} for each
visitor, best first, without the visitor's own items. Items are the encoder's ids; without
an encoder, the names of the columns that fit got, or their numbers. Unknown items count
for nothing. "candidates": [...] names the only items that may come, such as those in
stock, "exclude": [...] those that may not, and "exclude_seen": false lets the visitor's
own come. A request that cannot be answered gets 413 or 422, and one sentence.
"""

import argparse
import asyncio
import math
import os
import socket
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import joblib
import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from sklearn.pipeline import Pipeline
from starlette.requests import ClientDisconnect

import skvae
from skvae.columns import names_of_model

MAX_BYTES, MAX_VISITORS, MAX_K = 1_000_000, 256, 1000  # of one request
SECONDS_TO_BEGIN = 60  # of a worker, which imports torch; by itself uvicorn waits for 5
SECONDS_TO_END = 5  # for who is still sending a request
EXAMPLE = 'A body is such as {"visitors": [["tea", "gin"], []], "k": 5}.'
MAX_AT_ONCE = 8  # requests that a worker computes at once; others wait


def check_item(value):
    """NaN and infinity are no ids, and true is not 1."""
    if type(value) in (str, int) or (type(value) is float and math.isfinite(value)):
        return value
    raise PydanticCustomError("item", "an item must be a string or a finite number")


Item = Annotated[Any, PlainValidator(check_item)]


class Query(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    visitors: Annotated[list[list[Item]], Field(min_length=1, max_length=MAX_VISITORS)]
    k: Annotated[int, Field(ge=1, le=MAX_K)] = 10
    candidates: list[Item] | None = None
    exclude: list[Item] | None = None
    exclude_seen: bool = True


class Answer(BaseModel):
    items: list[Any]
    scores: list[float]
    unknown: list[Any]


Answers = TypeAdapter(list[Answer])


async def read_query(request: Request) -> Query:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                raise HTTPException(
                    413, f"body: send at most {MAX_BYTES} bytes at a time."
                )
    except ClientDisconnect as error:
        raise HTTPException(499, "The client has left.") from error
    try:
        return Query.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        such = " " + EXAMPLE if place.partition(".")[0] == "visitors" else ""
        raise HTTPException(422, f"{place}: {first['msg']}.{such}") from error


def load(path):
    """Encoder and model; to a model alone an encoder of its columns."""
    # a joblib file can run anything when it is read: serve only your own
    read = joblib.load if path.suffix == ".joblib" else skvae.load
    loaded = read(path, mmap_mode="r")
    if not hasattr(loaded, "decision_function"):
        parts = loaded if isinstance(loaded, (tuple, list)) else [loaded]
        kinds = [type(part).__name__ for part in parts]
        if len(kinds) != 2 or kinds[0] != "InteractionEncoder":
            raise ValueError(
                f"{path} holds {', '.join(kinds)}: save a model, or (encoder, model), in "
                "this order."
            )
        encoder, model = parts
    else:
        model = loaded
        numbers = np.arange(recommender_of(model).n_features_in_)
        items = np.array(names_of_model(model) or numbers)
        if not hasattr(model, "feature_names_in_"):
            with suppress(ValueError, OverflowError):  # no int64, such as dates
                items = items.astype(np.int64)
        encoder = skvae.InteractionEncoder().fit((numbers, items))
        encoder.keep_items(encoder.item_indices(items))  # in the order of the matrix
        warnings.filterwarnings("ignore", "X does not have valid feature names")
    check_servable(encoder, path)
    encoder.set_params(handle_unknown="ignore")  # answers list them
    return encoder, model


def check_servable(encoder, path):
    kinds = {type(item).__name__ for item in encoder.item_ids_.tolist()}
    if not kinds <= {"int", "float", "str", "bool"}:
        raise ValueError(
            f"{path} has item ids of type {' and '.join(sorted(kinds))}, which JSON does "
            "not have: fit the encoder on strings or integers."
        )
    if encoder.weight is None and (encoder.threshold or 0) > 1:
        raise ValueError(
            f"The encoder of {path} asks for {encoder.threshold:g} events of a user with "
            "an item, and a visitor's list has each item once: fit one without threshold."
        )


def recommender_of(model):
    return model[-1] if isinstance(model, Pipeline) else model


def create_app(path=None):
    path = path or os.environ.get("SKVAE_MODEL")
    if not path:
        raise ValueError(
            "Say what to serve: name a file of skvae.save, or export SKVAE_MODEL=FILE."
        )
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is no file: say what skvae.save has written.")
    encoder, model = load(path)
    visit = [0], encoder.item_ids_[:1]
    if encoder.weight is None and isinstance(model, Pipeline) and len(model) > 1:
        left = model[:-1].transform(encoder.transform(visit))
        if not (left != 0).sum():
            raise ValueError(
                f"A step of the Pipeline of {path} drops events of weight 1, and those "
                "of visitors have no other: fit an encoder with a threshold instead."
            )
    about = {
        "skvae": skvae.__version__,
        "model": type(recommender_of(model)).__name__,
        "format": "joblib" if path.suffix == ".joblib" else "skvae",
        "n_items": len(encoder.item_ids_),
    }
    app = FastAPI(title=about["model"])
    body = {"content": {"application/json": {"schema": Query.model_json_schema()}}}

    slots = asyncio.Semaphore(MAX_AT_ONCE)

    @app.post(
        "/recommend", response_model=list[Answer], openapi_extra={"requestBody": body}
    )
    async def recommend(query: Annotated[Query, Depends(read_query)], request: Request):
        async with slots:
            if await request.is_disconnected():  # nothing is computed for who has left
                raise HTTPException(499, "The client has left.")
            return await run_in_threadpool(answer, query)

    def known_and_unknown(items, place):
        items = np.fromiter(dict.fromkeys(items), object)
        try:
            is_known = encoder.item_indices(items) >= 0
        except (TypeError, ValueError) as error:  # ids of another kind than the encoder's
            raise HTTPException(422, f"{place}: {error}") from error
        return items[is_known], items[~is_known]

    def answer(query):
        split = [known_and_unknown(items, "visitors") for items in query.visitors]
        visitors, unknown = zip(*split, strict=True)
        options = {"exclude_seen": query.exclude_seen}
        for place in ("candidates", "exclude"):
            if (items := getattr(query, place)) is not None:
                options[place], _ = known_and_unknown(items, place)
        users = np.arange(len(visitors))
        rows = np.repeat(users, [len(items) for items in visitors])
        events = rows, np.concatenate(visitors)
        table = encoder.recommend(model, events, query.k, users=users, **options)
        begins = np.searchsorted(table[encoder.user], users[1:])
        best = (np.split(table[name], begins) for name in (encoder.item, "score"))
        answers = [
            Answer(items=items.tolist(), scores=scores.tolist(), unknown=own.tolist())
            for items, scores, own in zip(*best, unknown, strict=True)
        ]
        return Response(Answers.dump_json(answers), media_type="application/json")

    @app.head("/health")
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/version")
    def version() -> dict[str, str | int]:
        return about

    # sets up what is set up on first use, and raises where steps drop events that have
    # no weight here
    encoder.recommend(model, visit, 1)
    return app


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "model", nargs="?", help="file of skvae.save; by default that of $SKVAE_MODEL"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--limit-concurrency", type=int, metavar="CONNECTIONS")
    parser.add_argument("--no-access-log", dest="access_log", action="store_false")
    options = vars(parser.parse_args())
    if model := options.pop("model"):
        os.environ["SKVAE_MODEL"] = model  # where workers look
    try:
        app = create_app()  # a worker that cannot is started again and again
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    if options["workers"] > 1:
        app = "serve:create_app"
    uvicorn.Config.bind_socket = bind_tcp
    options["timeout_worker_healthcheck"] = SECONDS_TO_BEGIN
    options["timeout_graceful_shutdown"] = SECONDS_TO_END
    uvicorn.run(app, factory=options["workers"] > 1, **options)


def bind_tcp(config, bind=uvicorn.Config.bind_socket):
    """The socket that workers share, with its protocol named.

    uvicorn leaves that open, so that asyncio does not set TCP_NODELAY, and on Linux most
    answers wait for 40 ms: https://github.com/Kludex/uvicorn/issues/3149
    """
    bound = bind(config)
    return socket.socket(bound.family, bound.type, socket.IPPROTO_TCP, bound.detach())


if __name__ == "__main__":
    main()
