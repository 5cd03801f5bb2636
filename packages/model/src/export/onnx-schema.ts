/**
 * As much of the ONNX file format as a model of ours needs, as protobuf: names and numbers are those of the specification
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), what is not written here is left out of the file.
 */
import protobuf from 'protobufjs';

const SCHEMA = `
syntax = "proto2";
package onnx;

message ModelProto {
  optional int64 ir_version = 1;
  optional string producer_name = 2;
  optional string producer_version = 3;
  optional string doc_string = 6;
  optional GraphProto graph = 7;
  repeated OperatorSetIdProto opset_import = 8;
  repeated StringStringEntryProto metadata_props = 14;
}

message OperatorSetIdProto {
  optional string domain = 1;
  optional int64 version = 2;
}

message StringStringEntryProto {
  optional string key = 1;
  optional string value = 2;
}

message GraphProto {
  repeated NodeProto node = 1;
  optional string name = 2;
  repeated TensorProto initializer = 5;
  repeated ValueInfoProto input = 11;
  repeated ValueInfoProto output = 12;
}

message NodeProto {
  repeated string input = 1;
  repeated string output = 2;
  optional string name = 3;
  optional string op_type = 4;
  repeated AttributeProto attribute = 5;
}

message AttributeProto {
  optional string name = 1;
  optional float f = 2;
  optional int64 i = 3;
  // 1: f, 2: i
  optional int32 type = 20;
}

message TensorProto {
  repeated int64 dims = 1;
  // 1: float, 7: int64, 8: string, 11: double
  optional int32 data_type = 2;
  repeated bytes string_data = 6;
  optional string name = 8;
  // Little-endian elements, row after row.
  optional bytes raw_data = 9;
}

message ValueInfoProto {
  optional string name = 1;
  optional TypeProto type = 2;
  optional string doc_string = 3;
}

message TypeProto {
  message Tensor {
    optional int32 elem_type = 1;
    optional TensorShapeProto shape = 2;
  }
  oneof value {
    Tensor tensor_type = 1;
  }
}

message TensorShapeProto {
  message Dimension {
    oneof value {
      int64 dim_value = 1;
      string dim_param = 2;
    }
  }
  repeated Dimension dim = 1;
}
`;

/** Encodes a message of the schema. @param content its fields, by the names above */
export function encodeOnnx(content: Readonly<Record<string, unknown>>): Uint8Array {
  const type = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType('onnx.ModelProto');
  const problem = type.verify(content);
  if (problem !== null) throw new TypeError(`not an ONNX model: ${problem}`);
  return type.encode(type.create(content)).finish();
}
