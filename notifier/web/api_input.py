"""Reading what programs send: JSON in the strict sense, and every refusal in one plain sentence.

JSON is read before flask-openapi3 does: that takes a body it cannot read for null, accepts
names that are given twice, and unpacks a string that holds JSON.
"""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Response, current_app, request
from pydantic import BaseModel, ValidationError

from notifier.domain.text import Invalid
from notifier.web import api_alert_models, api_models
from notifier.web.api_models import shorten
from notifier.web.problems import problem

_UNREADABLE = "The body cannot be read"

#: A wrong path is an address of nothing, and a wrong header is no field of the body.
_STATUS = {
    api_models.IncidentPath.__name__: 404,
    api_models.ComponentPath.__name__: 404,
    api_models.CustomerPath.__name__: 404,
    api_models.SuppressionPath.__name__: 404,
    api_models.UnknownPath.__name__: 404,
    api_alert_models.IntegrationPath.__name__: 404,
    api_alert_models.RulePath.__name__: 404,
    api_alert_models.PresetPath.__name__: 404,
    api_alert_models.DraftPath.__name__: 404,
    api_models.RepeatHeaders.__name__: 400,
}


class _NotStrict(ValueError):
    """What Python's reader takes and JSON does not. The message completes "The body has …"."""


def refuse_body() -> Response | None:
    """Before a view: the problem with the request's body, or None when it is a JSON object."""
    view = current_app.view_functions[request.endpoint or ""]
    if "body" not in view.__annotations__:
        return None
    if request.mimetype != "application/json":
        return problem(
            415,
            _UNREADABLE,
            "Send the body as JSON, with the header 'Content-Type: application/json'.",
        )
    detail = _explain_json(request.get_data())
    return problem(400, _UNREADABLE, detail) if detail else None


def _explain_json(body: bytes) -> str:
    """What is wrong with `body` as a JSON object, in one sentence; "" when nothing is."""
    try:
        given = json.loads(
            body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice
        )
    except UnicodeDecodeError as error:
        return f"The body is not UTF-8 text: byte {error.start + 1} begins no character."
    except json.JSONDecodeError as error:
        return f"The body is not JSON: line {error.lineno}, column {error.colno}: {error.msg}."
    except RecursionError:
        return "The body is nested too deeply."
    except _NotStrict as error:
        return f"The body has {error}."
    except ValueError:
        return "The body has a number with too many digits."  # the limit is Python's own
    return "" if isinstance(given, dict) else "The body must be a JSON object, in { }."


def _refuse_constant(name: str) -> None:
    raise _NotStrict(f"the value {name}, which JSON does not know")


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotStrict(f"{shorten(twice)} twice in one object")
    return found


def validation_problem(error: ValidationError) -> Response:
    """The problem of a request that does not fit its model, with every wrong field by name."""
    model = _model_of(error.title)
    errors = [
        {"field": _field(one["loc"]), "message": _sentence(one, model)}
        for one in error.errors(include_url=False)
    ]
    return field_problem(errors, status=_STATUS.get(error.title, 422))


def _model_of(name: str) -> type[BaseModel] | None:
    found = (getattr(models, name, None) for models in (api_models, api_alert_models))
    return next((model for model in found if model), None)


def invalid_problem(error: Invalid) -> Response:
    """The problem of a field that the domain refuses."""
    return field_problem([{"field": error.field, "message": error.reason}])


def field_problem(errors: Sequence[Mapping[str, str]], *, status: int = 422) -> Response:
    """A problem whose one sentence names the first wrong field; `errors` has them all."""
    detail = f"{errors[0]['field']} {errors[0]['message']}."
    return problem(status, "Something in the request is wrong", detail, errors=list(errors))


def _field(place: Sequence[int | str]) -> str:
    """`components[2]`, `expected_duration.until`."""
    parts = (p for p in place if p != "[key]")  # what pydantic adds where a name is wrong
    name = "".join(f"[{p}]" if isinstance(p, int) else f".{_limit(p)}" for p in parts)
    return name.removeprefix(".") or "body"


def _limit(name: str) -> str:
    return name if len(name) <= 60 else name[:60] + "…"


def _sentence(error: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    """The rest of a sentence that begins with the field's name, by pydantic's type of error."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return "is not a field" + _did_you_mean(error["loc"], model)
    if kind == "value_error":
        cause = context["error"]
        return cause.reason if isinstance(cause, Invalid) else str(cause)
    say = _SENTENCES.get(kind)
    return say(context) if say else "is not what this field takes"


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "string_type": lambda _: "must be text, in quotes",
    "string_unicode": lambda _: "contains half a character (a lone surrogate)",
    "string_too_long": lambda c: f"is longer than {c['max_length']} characters",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "is a number out of all range",
    "int_from_float": lambda _: "must be a whole number",
    "bool_type": lambda _: "must be true or false",
    "list_type": lambda _: "must be a list, in [ ]",
    "model_type": lambda _: "must be an object, in { }",
    "dict_type": lambda _: "must be an object, in { }",
    "too_long": lambda c: f"has {c['actual_length']} entries; at most {c['max_length']} are taken",
    "too_short": lambda c: (
        f"has {c['actual_length']} entries; at least {c['min_length']} is needed"
    ),
    "enum": lambda c: f"must be one of {c['expected']}",
    "greater_than_equal": lambda c: f"must be at least {c['ge']}",
    "less_than_equal": lambda c: f"must be at most {c['le']}",
}


def _did_you_mean(place: Sequence[int | str], model: type[BaseModel] | None) -> str:
    """Of the names that could stand at this place, the one that looks most like the given one."""
    for part in place[:-1]:
        model = _model_at(model, str(part))
    if model is None:
        return ""
    known = [field.alias or name for name, field in model.model_fields.items()]
    close = difflib.get_close_matches(str(place[-1])[:60], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are: {', '.join(known)}"


def _model_at(model: type[BaseModel] | None, name: str) -> type[BaseModel] | None:
    if model is None or name not in model.model_fields:
        return None
    annotation = model.model_fields[name].annotation
    kinds = typing.get_args(annotation) or (annotation,)
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
