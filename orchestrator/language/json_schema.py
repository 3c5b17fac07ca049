"""The sweep language as a JSON Schema, for editors that complete and check while one types."""

import re
from typing import Any

from orchestrator.language.seeds import SeedRange
from orchestrator.language.sweep import Sweep
from orchestrator.language.variations import KEYS, OPTION
from trainer.catalog import ARCHITECTURES, AUGMENTATIONS, MODEL_LIBRARIES
from trainer.options import METHODS

ONE_OR_MORE = ("dataset", "schemes", "methods", "models", "predictors", "include", "exclude")
"""Lists in whose place one value may stand."""


_MODEL = "|".join(
    (*map(re.escape, ARCHITECTURES), f"({'|'.join(MODEL_LIBRARIES)}):[a-z0-9_.]{{1,100}}")
)
_PAIR = f"^({_MODEL})/({_MODEL})$"


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
    settable = {"anyOf": [{"enum": list(KEYS)}, {"pattern": f"^{re.escape(OPTION)}"}]}
    properties["grid"]["propertyNames"] = settable
    definitions["Override"]["properties"]["set"]["propertyNames"] = settable
    for name in ("TeacherSettings", "StudentSettings"):
        section = definitions[name]["properties"]
        section["checkpoint"] = {"anyOf": [{"type": "string"}, section["checkpoint"]]}
    methods = {"type": "string", "examples": list(METHODS)}
    definitions["StudentSettings"]["properties"]["method"] |= methods
    # Where a file registers models, or another file may, a pair can name what no schema knows.
    schema["if"] = {"not": {"anyOf": [{"required": ["models"]}, {"required": ["extends"]}]}}
    schema["then"] = {"properties": {"pairs": {"items": {"pattern": _PAIR}}}}
    return schema


def _one_or_more(many: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [many["items"], many]}
