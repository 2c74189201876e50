"""Prints what does not match a JSON Schema in TOML files: validate.py SCHEMA FILE…"""

import json
import sys
import tomllib

from jsonschema import Draft7Validator

with open(sys.argv[1]) as file:
    schema = json.load(file)
Draft7Validator.check_schema(schema)
for name in sys.argv[2:]:
    with open(name, "rb") as file:
        config = tomllib.load(file)
    for error in Draft7Validator(schema).iter_errors(config):
        print(f"{name}: {error.json_path}: {error.message}")
