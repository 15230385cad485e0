"""Small documents: Markdown, notebooks, models' cards."""

from __future__ import annotations

import json

import yaml

MARKDOWN = """\
# Model card

A *small* **model** with `code`, [its file](MLmodel), [a folder](data/), [the web](https://example.com/a?b=c)
and &lt;entities&gt;.

- [x] trained
- [ ] deployed

| column | meaning |
| ------ | ------: |
| `a`    | first   |

> quoted

```python
print("hello")
```

![A picture](picture.png)
"""


def hostile_markdown(attack: str, script: str) -> str:
    """Links, images and HTML that must lead nowhere."""
    links = [
        f"javascript:{script}",
        f"JaVaScRiPt:{script}",
        f"java\tscript:{script}",
        f"data:text/html,<script>{script}</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.invalid/x",
        "\\\\evil.invalid\\x",
        "/v1/login",
        "../../../../outside",
        "blob:x",
    ]
    each = "\n\n".join(f"[link](<{link}>) ![image](<{link}>)" for link in links)
    return f"{attack}\n\n{each}\n\n![x](https://evil.invalid/pixel.png)\n\n<iframe src=javascript:{script}>\n"


def notebook(title: str, code: str, output: str, html: str = "<b>bold</b>") -> bytes:
    cells = [
        {"cell_type": "markdown", "source": [title]},
        {
            "cell_type": "code",
            "source": code,
            "outputs": [
                {"output_type": "stream", "text": [output]},
                {"output_type": "display_data", "data": {"text/html": html, "text/plain": output}},
            ],
        },
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def model(name: str = "sepal length (cm)") -> bytes:
    """An MLmodel file whose signature has a column of that name."""
    inputs = [
        {"type": "double", "name": name, "required": True},
        {"type": "array", "items": {"type": "string"}, "name": "tags", "required": False},
    ]
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]
    parameters = [{"name": "temperature", "default": 0.5, "shape": None, "type": "double"}]
    card = {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "python_version": "3.11.9",
            },
            "sklearn": {"pickled_model": "model.pkl", "sklearn_version": "1.7.2", "code": None},
        },
        "mlflow_version": "3.17.2",
        "model_id": "m-0123456789abcdef",
        "model_size_bytes": 1234,
        "model_uuid": "m-0123456789abcdef",
        "run_id": "fedcba9876543210",
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
        "signature": {
            "inputs": json.dumps(inputs),
            "outputs": json.dumps(outputs),
            "params": json.dumps(parameters),
        },
        "utc_time_created": "2026-01-02 03:04:05.678901",
    }
    return yaml.safe_dump(card).encode()


def endless_model(fields: int = 300, properties: int = 20) -> bytes:
    """An MLmodel file of a few kilobytes, by whose references its signature has millions of properties."""
    lines = ["x: &l5 {type: string}"]
    for level in (4, 3, 2, 1, 0):
        inner = ", ".join(f"k{number}: *l{level + 1}" for number in range(properties))
        lines.append(f"y{level}: &l{level} {{type: object, properties: {{{inner}}}}}")
    inputs = ", ".join(["*l0"] * fields)
    return "\n".join([*lines, f"signature: {{inputs: [{inputs}]}}", ""]).encode()


def repeating_model(times: int = 20_000, characters: int = 200_000) -> bytes:
    """An MLmodel file that has one long text in very many places."""
    return f"x: &x {'a' * characters}\nmetadata: [{', '.join(['*x'] * times)}]\n".encode()
