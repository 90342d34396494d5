"""A .proto file as message classes of google.protobuf, without protoc: the few forms used here."""

import re
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = re.compile(r"(?:(optional|repeated)\s+)?(\w+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[([^\]]*)\])?;")
Kind = descriptor_pb2.FieldDescriptorProto


def load(path):
    """The messages of the file by their names."""
    text = re.sub(r"//[^\n]*", "", Path(path).read_text())
    package = re.search(r"package\s+(\w+);", text)[1]
    proto3 = 'syntax = "proto3"' in text
    file = descriptor_pb2.FileDescriptorProto(name=str(path), package=package)
    file.syntax = "proto3" if proto3 else "proto2"
    for name, body in re.findall(r"message\s+(\w+)\s*\{([^}]*)\}", text):
        message = file.message_type.add(name=name)
        for label, kind, field_name, number, options in FIELD.findall(body):
            field = message.field.add(name=field_name, number=int(number))
            field.label = Kind.LABEL_REPEATED if label == "repeated" else Kind.LABEL_OPTIONAL
            if hasattr(Kind, f"TYPE_{kind.upper()}"):
                field.type = getattr(Kind, f"TYPE_{kind.upper()}")
            else:
                field.type, field.type_name = Kind.TYPE_MESSAGE, f".{package}.{kind}"
            if "packed = true" in options:
                field.options.packed = True
            elif proto3 and label == "repeated" and "packed = false" in options:
                field.options.packed = False
            if default := re.search(r"default\s*=\s*\"?([^\",\]]*)", options):
                field.default_value = default[1].strip()
    pool = descriptor_pool.DescriptorPool()
    described = pool.Add(file) or pool.FindFileByName(str(path))
    return {
        name: message_factory.GetMessageClass(message)
        for name, message in described.message_types_by_name.items()
    }
