"""Answers that must fit a JSON Schema."""

import json

from agentctl.core.errors import AnswerInvalid, UsageProblem
from agentctl.core.jsontypes import JsonObject


def check_schema(schema: JsonObject) -> None:
    """Raises UsageProblem when `schema` is no JSON Schema."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise UsageProblem(
            f"the schema is no JSON Schema: {error.message} at {error.json_path}",
            "see https://json-schema.org",
        ) from None


def validate_answer(answer: str, schema: JsonObject) -> None:
    """Raises AnswerInvalid when `answer` is not JSON, or not what `schema` describes.

    Raises UsageProblem when `schema` refers to what it does not hold: nothing is fetched for it.
    """
    from jsonschema.exceptions import ValidationError, best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = validator_for(schema)(schema, registry=Registry())
    try:
        data = json.loads(answer)
        problem: ValidationError | None = best_match(validator.iter_errors(data))
    except Unresolvable as error:
        raise UsageProblem(
            f"the schema refers to {error.ref}, which it does not hold", "put it under $defs"
        ) from None
    except (ValueError, RecursionError) as error:
        raise AnswerInvalid(f"the answer is not JSON: {error}", "ask again") from None
    if problem is not None:
        raise AnswerInvalid(
            f"the answer does not fit the schema: {problem.message} at {problem.json_path}",
            "ask again, or with a larger model: -m NAME",
        )
