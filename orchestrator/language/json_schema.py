"""The sweep language as a JSON Schema, for editors that complete and check while one types."""

from typing import Any

from orchestrator.language.seeds import SeedRange
from orchestrator.language.sweep import Sweep
from orchestrator.language.variations import KEYS
from trainer.catalog import AUGMENTATIONS

ONE_OR_MORE = ("dataset", "schemes", "include", "exclude")
"""Lists in whose place one value may stand."""


def sweep_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a sweep file."""
    schema = Sweep.model_json_schema()
    properties, definitions = schema["properties"], schema["$defs"]
    schema["title"] = "kdsweep sweep"
    schema["required"] = [
        {"required": ["extends"]},
        {"required": schema["required"]},
    ]
    schema["anyOf"] = schema.pop("required")
    properties["extends"] = {"type": "string", "description": "A sweep file to build on."}
    for name in ONE_OR_MORE:
        properties[name] = _one_or_more(properties[name])
    for name, value in definitions["Where"]["properties"].items():
        definitions["Where"]["properties"][name] = _one_or_more(value["anyOf"][0])
    names = {"type": "string", "examples": [*AUGMENTATIONS, "mixuppick_t"]}
    properties["augmentations"] = {
        "anyOf": [{"const": "all"}, {"type": "array", "items": names, "minItems": 1}],
        "default": "all",
    }
    in_a_row = SeedRange.model_json_schema()
    properties["seeds"] = {"anyOf": [properties["seeds"], in_a_row]}
    properties["grid"]["propertyNames"] = {"enum": list(KEYS)}
    definitions["Override"]["properties"]["set"]["propertyNames"] = {"enum": list(KEYS)}
    checkpoint = definitions["TeacherSettings"]["properties"]["checkpoint"]
    definitions["TeacherSettings"]["properties"]["checkpoint"] = {
        "anyOf": [{"type": "string"}, checkpoint]
    }
    return schema


def _one_or_more(many: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [many["items"], many]}
