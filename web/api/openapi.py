"""The OpenAPI 3.1 document, made from the same declarations and models that answer the calls."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from web.api.operations import OPERATIONS, PREFIX, Operation
from web.api.problems import MEDIA_TYPE, TITLES
from web.api.shapes import ProblemDocument

_REF = "#/components/schemas/{model}"


def document(version: str) -> dict[str, Any]:
    requests: list[tuple[type[BaseModel], Any]] = [(op.body, "validation") for op in OPERATIONS if op.body]
    replies: list[tuple[type[BaseModel], Any]] = [
        (m, "serialization") for op in OPERATIONS for m in op.answers.values()
    ]
    replies.append((ProblemDocument, "serialization"))
    refs, definitions = models_json_schema(list(dict.fromkeys(requests + replies)), ref_template=_REF)
    paths: dict[str, Any] = {}
    for op in OPERATIONS:
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op, refs)
    schemas = definitions.get("$defs", {})
    for name in {model.__name__ for model, _mode in replies}:
        _answers_leave_out(schemas.get(name, {}))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ClinicDAV",
            "version": version,
            "description": "Appointments of a practice. Instants carry the doctor's offset; errors are problem"
            " documents (RFC 9457) with a stable `code`.",
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "From clinicdav token add."}
            },
            "schemas": schemas,
        },
    }


def _answers_leave_out(schema: dict[str, Any]) -> None:
    """What has a default may be missing: an answer leaves out what it does not know of."""
    optional = {name for name, value in schema.get("properties", {}).items() if "default" in value}
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if name not in optional]


def _operation(op: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": op.name,
        "summary": op.summary,
        "parameters": [*_path_parameters(op), *_query_parameters(op), *_headers(op)],
        "responses": _responses(op, refs),
    }
    if op.body is not None:
        schema = refs[(op.body, "validation")]
        made["requestBody"] = {"required": op.body_required, "content": {"application/json": {"schema": schema}}}
    return made


def _path_parameters(op: Operation) -> list[dict[str, Any]]:
    annotations = op.function.__annotations__
    made = []
    for name in op.arguments:
        schema: dict[str, Any] = {"type": "string"}
        if getattr(annotations.get(name), "__name__", "") == "UUID":
            schema["format"] = "uuid"
        made.append({"name": name, "in": "path", "required": True, "schema": schema})
    return made


def _query_parameters(op: Operation) -> list[dict[str, Any]]:
    if op.query is None:
        return []
    schema = op.query.model_json_schema()
    made = []
    for name, value in schema.get("properties", {}).items():
        described = {key: part for key, part in value.items() if key not in ("title", "description")}
        required = name in schema.get("required", [])
        if not required:
            described = _or_empty(described)
        parameter = {"name": name, "in": "query", "required": required, "schema": described}
        if "description" in value:
            parameter["description"] = value["description"]
        made.append(parameter)
    return made


def _or_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """A URL has no null: what is left out, or left empty, is not asked for."""
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    choices = [choice for choice in schema.get("anyOf", [rest]) if choice != {"type": "null"}]
    made = {} if choices == [rest] else rest
    if schema.get("default") is not None:
        made["default"] = schema["default"]
    return made | {"anyOf": [*choices, {"type": "string", "maxLength": 0}]}


def _headers(op: Operation) -> list[dict[str, Any]]:
    made = []
    if op.idempotent:
        made.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same key with the same request gives the same answer for 24 hours.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
            }
        )
    if 412 in op.refusals:
        described = "The ETag that was read, in its quotes."
        made.append({"name": "If-Match", "in": "header", "description": described, "schema": {"type": "string"}})
    return made


def _responses(op: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for status, model in op.answers.items():
        content = {"application/json": {"schema": refs[(model, "serialization")]}}
        if op.csv:
            content["text/csv"] = {"schema": {"type": "string"}}
        made[str(status)] = {"description": "Done" if op.writes else "Found", "content": content}
    usual = {401, 403, 404, 422, 429, 500, 503} | ({400, 413, 415} if op.writes else set())
    for status in sorted(usual | op.refusals):
        made[str(status)] = {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {"schema": refs[(ProblemDocument, "serialization")]}},
        }
    return made
