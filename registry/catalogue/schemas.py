"""JSON schemas of the Image API: glanceclient makes its models of them."""

from typing import Any

_TIME = {"type": "string", "readOnly": True}
_TEXT = {"type": ["null", "string"]}
_NUMBER = {"type": ["null", "integer"], "readOnly": True}
_LINK = {"type": "string", "readOnly": True}

IMAGE: dict[str, Any] = {
    "name": "image",
    "properties": {
        "id": {"type": "string", "description": "An identifier for the image"},
        "name": {**_TEXT, "maxLength": 255, "description": "Descriptive name for the image"},
        "status": {"type": "string", "readOnly": True, "enum": ["active"]},
        "visibility": {"type": "string", "enum": ["community", "public", "private", "shared"]},
        "protected": {"type": "boolean", "readOnly": True},
        "os_hidden": {"type": "boolean", "readOnly": True},
        "checksum": {**_TEXT, "readOnly": True},
        "os_hash_algo": {**_TEXT, "readOnly": True},
        "os_hash_value": {**_TEXT, "readOnly": True},
        "owner": {**_TEXT, "description": "Project that has the image"},
        "size": {**_NUMBER, "description": "Bytes of what the record stands for"},
        "virtual_size": _NUMBER,
        "container_format": {**_TEXT, "enum": [None, "docker"]},
        "disk_format": {**_TEXT, "enum": [None, "docker"]},
        "created_at": _TIME,
        "updated_at": _TIME,
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 255}},
        "min_ram": {"type": "integer"},
        "min_disk": {"type": "integer"},
        "parent_id": {**_TEXT, "description": "Record of the layer below"},
        "self": _LINK,
        "file": _LINK,
        "schema": _LINK,
    },
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
MEMBER: dict[str, Any] = {
    "name": "member",
    "properties": {
        "image_id": {"type": "string"},
        "member_id": {"type": "string"},
        "status": {"type": "string", "enum": ["pending", "accepted", "rejected"]},
        "created_at": _TIME,
        "updated_at": _TIME,
        "schema": _LINK,
    },
}
IMAGES: dict[str, Any] = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": IMAGE},
        "first": {"type": "string"},
        "next": {"type": "string"},
        "schema": {"type": "string"},
    },
    "links": [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
MEMBERS: dict[str, Any] = {
    "name": "members",
    "properties": {
        "members": {"type": "array", "items": MEMBER},
        "schema": {"type": "string"},
    },
    "links": [{"rel": "describedby", "href": "{schema}"}],
}
SCHEMAS = {"image": IMAGE, "images": IMAGES, "member": MEMBER, "members": MEMBERS}
