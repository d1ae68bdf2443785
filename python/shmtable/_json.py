"""The JSON that tables with `codec="json"` store: strict, compact, in UTF-8."""

import json
from typing import Any

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dumps(value: Any) -> bytes:
    return _encoder.encode(value).encode("utf-8")


def loads(text: bytes) -> Any:
    return json.loads(text)
