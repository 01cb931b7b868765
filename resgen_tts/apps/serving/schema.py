"""The OpenAPI schema, with the bodies that are read by hand."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from resgen_tts.apps.serving.contract import SpeechBody, UploadedSpeechBody, VoiceBody

if TYPE_CHECKING:
    from fastapi import FastAPI

_REFERENCE = "#/components/schemas/{model}"
# The field of each form that is a file.
_FILES: dict[type[BaseModel], str] = {UploadedSpeechBody: "reference_audio", VoiceBody: "audio"}
_BODIES: tuple[type[BaseModel], ...] = (SpeechBody, *_FILES)


def request_schema(bodies: dict[str, type[BaseModel]]) -> dict[str, Any]:
    """What a route says of its body: media types and the schemas of each."""
    content = {
        kind: {"schema": {"$ref": _REFERENCE.format(model=body.__name__)}} for kind, body in bodies.items()
    }  # fmt: skip
    return {"requestBody": {"required": True, "content": content}}


def complete_schema(app: "FastAPI") -> dict[str, Any]:
    """The schema of all routes with those of the bodies; made once."""
    from fastapi.openapi.utils import get_openapi

    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        parts = schema.setdefault("components", {}).setdefault("schemas", {})
        for body in _BODIES:
            own = body.model_json_schema(ref_template=_REFERENCE)
            parts.update(own.pop("$defs", {}))
            if body in _FILES:
                own["properties"][_FILES[body]] = {"type": "string", "format": "binary", "description": "a recording"}
                own["required"] = [*own.get("required", ()), _FILES[body], "consent"]
            parts[body.__name__] = own
        schema["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"bearer": []}, {}]
        app.openapi_schema = schema
    return app.openapi_schema
