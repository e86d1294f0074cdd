"""The server's endpoints, as in OpenAI's API: models, chat completions and completions, streamed or whole."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as AsgiMessage

from tutelage.codes import Message
from tutelage.errors import DataError, ModelError
from tutelage.run.folder import VARIANTS
from tutelage.serve.answering_model import Served
from tutelage.serve.auth import why_refused
from tutelage.serve.generation_requests import Engine, GenerationRequest, Piece
from tutelage.serve.requests import ChatRequest, CompletionRequest, read_json
from tutelage.serve.responses import CHAT, COMPLETION, CompletionResponse, Form
from tutelage.serve.under_way import UnderWay

LARGEST_REQUEST = 2**20  # bytes
MOST_UNANSWERED = 64
SECONDS_TO_SEND = 30  # maximum time to receive a request
# Requests for other APIs, with a hint how to configure the client.
_TO_CHAT = "Use /v1/chat/completions (client.chat.completions.create in the openai client)."
_BASE_URL = "The client's base URL must end with /v1."
OTHER_INTERFACES = {
    "/v1/responses": f"The Responses API is not supported. {_TO_CHAT}",
    "/responses": f"The Responses API is not supported. {_TO_CHAT} {_BASE_URL}",
    "/v1/messages": f"Anthropic's API is not supported. {_TO_CHAT}",
    "/v1/embeddings": "Embeddings are not supported.",
    "/api/": (
        "Ollama's API is not supported. Set the client to the OpenAI API, with a base URL that ends with /v1."
    ),
    "/chat/completions": _BASE_URL,
    "/completions": _BASE_URL,
    "/models": _BASE_URL,
}
# Errors for which the same request may succeed later.
MAY_PASS = ("serve.stopped", "device.out_of_memory", "train.not_enough_memory")
TYPE_OF_STATUS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    500: "server_error",
    503: "overloaded_error",
}


def make_app(engine: Engine, served: Served, *, host: str, key: str | None) -> Starlette:
    """Return the application of a server that listens on `host`; requests must include `key`, if there is one.

    Its `state.under_way` ends unfinished answers when the server has to stop.
    """
    under_way = UnderWay(engine)
    numbers = itertools.count(1)

    async def models(request: Request) -> Response:
        data = [
            {"id": variant, "object": "model", "created": 0, "owned_by": "tutelage"}
            for variant in reversed(VARIANTS)
        ]
        return JSONResponse({"object": "list", "data": data})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in VARIANTS:
            return _unknown_model(name)
        return JSONResponse({"id": name, "object": "model", "created": 0, "owned_by": "tutelage"})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "unanswered": engine.unanswered})

    async def chat(request: Request) -> Response:
        return await answer(request, ChatRequest, CHAT)

    async def completions(request: Request) -> Response:
        return await answer(request, CompletionRequest, COMPLETION)

    async def answer(request: Request, kind: Any, form: Form) -> Response:
        try:
            asked = kind.read(read_json(await request.body()))
            if asked.model not in VARIANTS:
                return _unknown_model(asked.model)
            question = asked.question(served)
        except (DataError, ModelError) as fault:  # ModelError: the chat template rejects the messages
            return _refusal(400, Message(fault.code, str(fault)), param=getattr(fault, "param", None))
        if engine.unanswered >= MOST_UNANSWERED:
            told = f"{MOST_UNANSWERED} requests are already running or queued. Try again in a second."
            return _refusal(503, Message("serve.busy", told), headers={"Retry-After": "1"})
        seed = question.sampling.seed if question.sampling else None
        reply = CompletionResponse(
            form, asked.model, len(question.prompt), served.tokenizer, next(numbers), seed
        )
        pieces = _pieces(under_way, question)
        if asked.stream:
            return StreamingResponse(
                _events(pieces, reply, with_usage=asked.stream_options), media_type="text/event-stream"
            )
        return await _whole(request, pieces, reply)

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/models", models),
            Route("/v1/models/{name}", model),
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/completions", completions, methods=["POST"]),
        ],
        middleware=[Middleware(_guarded, host=host, key=key)],
        exception_handlers={404: _no_such_address, 405: _no_such_address, 500: _fault},
    )
    app.state.under_way = under_way
    return app


def _guarded(app: ASGIApp, *, host: str, key: str | None) -> ASGIApp:
    """Reject unauthorized requests, after reading them completely so that the rejection can be delivered."""

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await _body(request)
        except DataError as fault:
            await _refusal(400, Message(fault.code, str(fault)))(scope, receive, send)
            return
        except ClientDisconnect:
            return
        refused = why_refused(request.method, scope["path"], request.headers, host=host, key=key)
        if refused is None:
            await app(scope, _again(body, receive), send)
        else:
            await _refusal(*refused)(scope, receive, send)

    return opened


def _again(body: bytes, receive: Receive) -> Receive:
    """Replay a body that was already read, followed by further messages."""
    told = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> AsgiMessage:
        return told.pop() if told else await receive()

    return next_message


async def _body(request: Request) -> bytes:
    """Return the body of a request; raise DataError if it is too large or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS_TO_SEND):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_REQUEST:
                    raise DataError(
                        "serve.request_too_large",
                        f"The request is larger than {LARGEST_REQUEST:,} bytes. Send a smaller request.",
                    )
    except TimeoutError as fault:
        raise DataError(
            "serve.request_too_slow",
            f"The request did not arrive within {SECONDS_TO_SEND} seconds. Send it again.",
        ) from fault
    return bytes(body)


def _refusal(
    status: int, message: Message, *, param: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    return JSONResponse(_error(status, message, param=param), status_code=status, headers=headers)


def _error(status: int, message: Message, *, param: str | None = None) -> dict[str, Any]:
    kind = TYPE_OF_STATUS.get(status, "invalid_request_error")
    return {"error": {"message": message.text, "type": kind, "param": param, "code": message.code}}


def _unknown_model(name: str) -> Response:
    told = f"There is no model {name[:80]!r}. Use `tuned`, or `base` for the base model."
    return _refusal(404, Message("serve.unknown_model", told))


async def _no_such_address(request: Request, fault: Exception) -> Response:
    known = "/v1/chat/completions, /v1/completions (POST), /v1/models, /health (GET)"
    path = request.url.path
    remedy = next((words for begin, words in OTHER_INTERFACES.items() if path.startswith(begin)), None)
    told = f"{request.method} {path[:80]} is not supported. The endpoints are {known}."
    return _refusal(404, Message("serve.unknown_path", f"{told} {remedy}" if remedy else told))


async def _fault(request: Request, fault: Exception) -> Response:
    return _refusal(
        500, Message("internal.unexpected", f"Internal error in Tutelage: {type(fault).__name__}.")
    )


@asynccontextmanager
async def _asking(under_way: UnderWay, question: GenerationRequest) -> AsyncIterator["asyncio.Queue[Piece]"]:
    """Start a request and yield the queue of its pieces; leaving early cancels it."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Piece] = asyncio.Queue()

    def on_piece(piece: Piece) -> None:
        with suppress(RuntimeError):  # the event loop has ended, and nobody is listening
            loop.call_soon_threadsafe(queue.put_nowait, piece)

    cancel = under_way.ask(question, on_piece)
    try:
        yield queue
    finally:
        cancel()


async def _pieces(under_way: UnderWay, question: GenerationRequest) -> AsyncGenerator[Piece]:
    async with _asking(under_way, question) as queue:
        while True:
            piece = await queue.get()
            yield piece
            if piece.finish_reason:
                return


async def _whole(request: Request, coming: AsyncGenerator[Piece], reply: CompletionResponse) -> Response:
    """Collect an answer, unless the client disconnects."""
    pieces: list[Piece] = []

    async def collect() -> None:
        async with aclosing(coming):
            async for piece in coming:
                pieces.append(piece)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(collect()), asyncio.create_task(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not pieces or not pieces[-1].finish_reason:
        return Response(status_code=499)  # nobody reads it
    if fault := pieces[-1].fault:
        return _refusal(_status_of(fault), fault)
    return JSONResponse(reply.whole(pieces))


async def _events(
    pieces: AsyncGenerator[Piece], reply: CompletionResponse, *, with_usage: bool
) -> AsyncIterator[str]:
    """Yield server-sent events; an answer that fails ends with an error instead of a finish reason."""
    is_first = True
    uncounted = {"usage": None} if with_usage else {}
    async with aclosing(pieces):  # so that a client that leaves frees its slot at once
        async for piece in pieces:
            if piece.fault:
                yield _event(_error(_status_of(piece.fault), piece.fault))
                break
            if piece.text or piece.finish_reason or piece.log_prob:
                yield _event(reply.part(piece, is_first=is_first) | uncounted)
                is_first = False
            if piece.finish_reason and with_usage:
                yield _event(reply.usage_part(piece.tokens))
    yield "data: [DONE]\n\n"


def _status_of(fault: Message) -> int:
    return 503 if fault.code in MAY_PASS else 500


def _event(value: Any) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
