"""What all addresses of the write API share: who asks how, and how it is answered."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel

from notifier.domain.text import Invalid
from notifier.services.incidents import Conflict, NotFound
from notifier.web import api_answers
from notifier.web.api_input import invalid_problem, refuse_body
from notifier.web.problems import problem

_PROBLEM_SCHEMA = {"$ref": f"#/components/schemas/{api_answers.Problem.__name__}"}


def problems(*statuses: int) -> ResponseDict:
    """The responses of a view that can refuse with these statuses."""
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": _PROBLEM_SCHEMA}},
        }
        for status in statuses
    }


READS = problems(401, 403, 404, 422)
WRITES = problems(400, 401, 403, 404, 413, 415, 422)


def make_blueprint(name: str, import_name: str) -> APIBlueprint:
    """A part of the API, for views that state their access themselves."""
    blueprint = APIBlueprint(
        name,
        import_name,
        url_prefix="/api/v1",
        abp_security=[{"bearer": []}],
        operation_id_callback=_operation_id,
    )
    blueprint.before_request(refuse_body)
    blueprint.register_error_handler(Invalid, invalid_problem)
    blueprint.register_error_handler(NotFound, _not_found)
    blueprint.register_error_handler(Conflict, _conflict)
    return blueprint


def answer(body: BaseModel, *, status: int = 200) -> Response:
    """The model's own JSON, which keeps the order of its fields; Flask's would sort them."""
    return Response(
        body.model_dump_json(by_alias=True), status=status, content_type="application/json"
    )


def _operation_id(*, name: str, **_where: str) -> str:
    """The view's name: it becomes a method's name in clients that are generated."""
    return name


def _not_found(error: NotFound) -> Response:
    return problem(404, "There is no such thing", sentence(error))


def _conflict(error: Conflict) -> Response:
    # An Idempotency-Key that came before with another body; parts that know others say so.
    return problem(422, "The key was used before", sentence(error))


def sentence(error: Exception) -> str:
    """What an error says, as a sentence of its own."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
