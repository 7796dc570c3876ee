"""docs/api.md from the OpenAPI text: `python -m pipeline.web.reference > docs/api.md`; a test keeps the two alike."""

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from pipeline.web.app import build
from pipeline.web.settings import Settings

_HEAD: Final = """# The app's calls

Made from the OpenAPI text (`python -m pipeline.web.reference > docs/api.md`). The same text with forms to try it is
at `/docs` of a running server. How to start one: [app.md](app.md).
"""
_METHODS: Final = ("get", "post", "delete")
Json = dict[str, Any]


def reference() -> str:
    """The calls in Markdown, grouped as they are in OpenAPI."""
    text = build(Settings()).openapi()
    groups: dict[str, list[str]] = {}
    for path, methods in text["paths"].items():
        for method in _METHODS:
            if method in methods:
                call = methods[method]
                groups.setdefault(call["tags"][0], []).append("\n".join(_call(text, method, path, call)))
    parts = [_HEAD, text["info"]["description"], ""]
    for group, calls in groups.items():
        parts += [f"## {group.capitalize()}", "", *calls]
    return "\n".join(parts).rstrip() + "\n"


def _call(text: Json, method: str, path: str, call: Json) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`"
    yield ""
    yield " ".join(call["description"].split())
    yield ""
    if told := call.get("parameters"):
        yield from ("| parameter | in | what |", "|---|---|---|")
        for entry in told:
            yield f"| `{entry['name']}` | {entry['in']} | {_parameter(text, entry)} |"
        yield ""
    for kind, content in call.get("requestBody", {}).get("content", {}).items():
        fields = ", ".join(f"`{name}`" for name in _resolved(text, content["schema"]).get("properties", {}))
        yield f"Body `{kind}`: {fields}."
        yield ""
    for status, answer in call["responses"].items():
        kinds = ", ".join(f"`{kind}`" for kind in answer.get("content", {}))
        yield f"* {status}: {answer['description'].rstrip('.')}{f' ({kinds})' if kinds else ''}"
    yield ""
    answered: Json = next((call["responses"][code] for code in ("200", "202") if code in call["responses"]), {})
    example = _example(text, answered.get("content", {}).get("application/json", {}).get("schema", {}))
    if example not in (None, {}, []):
        yield from ("```json", json.dumps(example, indent=1), "```", "")


def _parameter(text: Json, entry: Json) -> str:
    schema = entry.get("schema", {})
    if "$ref" in schema:
        schema = _resolved(text, schema)
    schema = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema) | schema
    told = [entry.get("description") or schema.get("description", "")]
    if "enum" in schema:
        told.append(", ".join(f"`{value}`" for value in schema["enum"]))
    if (usual := schema.get("default")) is not None:
        told.append(f"usually `{usual}`")
    if examples := schema.get("examples"):
        told.append(f"such as `{examples[0]}`")
    return "; ".join(filter(None, told)).replace("|", "\\|")


def _resolved(text: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Json = text["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _example(text: Json, schema: Json) -> Any:  # noqa: ANN401 - any JSON
    """An answer made of the schema's examples."""
    schema = _resolved(text, schema)
    if examples := schema.get("examples"):
        return examples[0]
    if "anyOf" in schema:
        return _example(text, schema["anyOf"][0])
    if schema.get("type") == "array":
        inner = _example(text, schema["items"])
        return [] if inner is None else [inner]
    if "properties" in schema:
        return {name: _example(text, part) for name, part in schema["properties"].items()}
    return schema.get("default")


if __name__ == "__main__":
    sys.stdout.write(reference())
