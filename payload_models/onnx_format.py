"""The messages of ONNX that an application may use, as tables for the wire reader (onnx.proto3, IR version 10).

Fields that lead to code or files outside the graph (local functions, training, external data, subgraphs) are listed
with the reason for which they are refused.
"""

from __future__ import annotations

from payload_models.protobuf_wire import Field, Kind

INT, FLOAT, TEXT, OCTETS, DOUBLE, MESSAGE = (
    Kind.INT,
    Kind.FLOAT,
    Kind.TEXT,
    Kind.OCTETS,
    Kind.DOUBLE,
    Kind.MESSAGE,
)


def _refused(name: str, reason: str) -> Field:
    return Field(name, Kind.REFUSED, reason=reason)


ENTRY = {1: Field("key", TEXT), 2: Field("value", TEXT)}

TENSOR = {
    1: Field("dims", INT, repeated=True),
    2: Field("data_type", INT),
    3: _refused("segment", "segmented_tensor"),
    4: Field("float_data", FLOAT, repeated=True),
    5: Field("int32_data", INT, repeated=True),
    6: _refused("string_data", "tensor_type"),
    7: Field("int64_data", INT, repeated=True),
    8: Field("name", TEXT),
    9: Field("raw_data", OCTETS),
    10: Field("double_data", DOUBLE, repeated=True),
    11: Field("uint64_data", INT, repeated=True),
    12: Field("doc_string", TEXT),
    13: _refused("external_data", "external_data"),
    14: Field("data_location", INT),
    16: Field("metadata_props", MESSAGE, True, ENTRY),
}

ATTRIBUTE = {
    1: Field("name", TEXT),
    2: Field("f", FLOAT),
    3: Field("i", INT),
    4: Field("s", OCTETS),
    5: Field("t", MESSAGE, message=TENSOR),
    6: _refused("g", "subgraph"),
    7: Field("floats", FLOAT, repeated=True),
    8: Field("ints", INT, repeated=True),
    9: Field("strings", OCTETS, repeated=True),
    10: _refused("tensors", "attribute_type"),
    11: _refused("graphs", "subgraph"),
    13: Field("doc_string", TEXT),
    14: _refused("tp", "attribute_type"),
    15: _refused("type_protos", "attribute_type"),
    20: Field("type", INT),
    21: _refused("ref_attr_name", "local_functions"),
    22: _refused("sparse_tensor", "sparse_tensor"),
    23: _refused("sparse_tensors", "sparse_tensor"),
}

NODE = {
    1: Field("input", TEXT, repeated=True),
    2: Field("output", TEXT, repeated=True),
    3: Field("name", TEXT),
    4: Field("op_type", TEXT),
    5: Field("attribute", MESSAGE, True, ATTRIBUTE),
    6: Field("doc_string", TEXT),
    7: Field("domain", TEXT),
    8: _refused("overload", "local_functions"),
    9: Field("metadata_props", MESSAGE, True, ENTRY),
}

DIMENSION = {1: Field("dim_value", INT), 2: Field("dim_param", TEXT), 3: Field("denotation", TEXT)}
SHAPE = {1: Field("dim", MESSAGE, True, DIMENSION)}
TENSOR_TYPE = {1: Field("elem_type", INT), 2: Field("shape", MESSAGE, message=SHAPE)}
TYPE = {
    1: Field("tensor_type", MESSAGE, message=TENSOR_TYPE),
    4: _refused("sequence_type", "value_type"),
    5: _refused("map_type", "value_type"),
    6: Field("denotation", TEXT),
    8: _refused("sparse_tensor_type", "value_type"),
    9: _refused("optional_type", "value_type"),
}
VALUE_INFO = {
    1: Field("name", TEXT),
    2: Field("type", MESSAGE, message=TYPE),
    3: Field("doc_string", TEXT),
    4: Field("metadata_props", MESSAGE, True, ENTRY),
}

GRAPH = {
    1: Field("node", MESSAGE, True, NODE),
    2: Field("name", TEXT),
    5: Field("initializer", MESSAGE, True, TENSOR),
    10: Field("doc_string", TEXT),
    11: Field("input", MESSAGE, True, VALUE_INFO),
    12: Field("output", MESSAGE, True, VALUE_INFO),
    13: Field("value_info", MESSAGE, True, VALUE_INFO),
    14: _refused("quantization_annotation", "quantization_annotation"),
    15: _refused("sparse_initializer", "sparse_tensor"),
    16: Field("metadata_props", MESSAGE, True, ENTRY),
}

OPERATOR_SET = {1: Field("domain", TEXT), 2: Field("version", INT)}

MODEL = {
    1: Field("ir_version", INT),
    2: Field("producer_name", TEXT),
    3: Field("producer_version", TEXT),
    4: Field("domain", TEXT),
    5: Field("model_version", INT),
    6: Field("doc_string", TEXT),
    7: Field("graph", MESSAGE, message=GRAPH),
    8: Field("opset_import", MESSAGE, True, OPERATOR_SET),
    14: Field("metadata_props", MESSAGE, True, ENTRY),
    20: _refused("training_info", "training_info"),
    25: _refused("functions", "local_functions"),
    26: _refused("configuration", "ir_version"),
}

# TensorProto.DataType -> octets per element; other element types are refused
ELEMENT_SIZE = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8}
FLOAT32, UINT8, INT8, INT32, INT64, BOOL, FLOAT16, DOUBLE64 = 1, 2, 3, 6, 7, 9, 10, 11
# which typed list holds which element types, where raw_data is not used
TYPED_LISTS = {
    "float_data": (1,),
    "int32_data": (2, 3, 4, 5, 6, 9, 10),
    "int64_data": (7,),
    "double_data": (11,),
    "uint64_data": (12, 13),
}
ATTRIBUTE_VALUES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
