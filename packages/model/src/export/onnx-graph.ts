/** A graph in the making: nodes in the order of their computing, and the constants they read. */

/** Types of elements, with the numbers ONNX gives them. */
export const ELEMENT = { float: 1, int64: 7, string: 8, double: 11 } as const;

export type ElementType = keyof typeof ELEMENT;

export interface GraphBuilder {
  /** Adds a node of one output and returns the output's name. */
  node(
    type: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, Attribute>>,
    output?: string,
  ): string;
  floats(name: string, shape: readonly number[], values: Float32Array): string;
  doubles(name: string, values: readonly number[]): string;
  integers(name: string, values: readonly number[]): string;
  strings(name: string, shape: readonly number[], values: readonly string[]): string;
  /** Declares an input [batch, width]. */
  input(name: string, type: ElementType, width: number, description: string): string;
  /** Declares an output [batch, width], or [batch] where width is absent. */
  output(name: string, type: ElementType, width?: number): void;
  /** The fields of a `GraphProto`. */
  finish(name: string): Readonly<Record<string, unknown>>;
}

/** Whole numbers are ONNX's INT, and a float is written as one: 1 is not 1.0. */
export type Attribute = { readonly int: number } | { readonly float: number };

export function buildGraph(): GraphBuilder {
  const nodes: unknown[] = [];
  const initializers: unknown[] = [];
  const inputs: unknown[] = [];
  const outputs: unknown[] = [];
  const constant = (name: string, type: ElementType, dims: readonly number[], data: object): string => {
    initializers.push({ name, data_type: ELEMENT[type], dims, ...data });
    return name;
  };
  const value = (name: string, type: ElementType, width: number | undefined, description?: string) => ({
    name,
    ...(description === undefined ? {} : { doc_string: description }),
    type: {
      tensor_type: {
        elem_type: ELEMENT[type],
        shape: { dim: [{ dim_param: 'batch' }, ...(width === undefined ? [] : [{ dim_value: width }])] },
      },
    },
  });
  return {
    node(type, from, attributes = {}, output = `${type.toLowerCase()}_${nodes.length}`) {
      const attribute = Object.entries(attributes).map(([name, given]) =>
        'int' in given ? { name, i: given.int, type: 2 } : { name, f: given.float, type: 1 },
      );
      nodes.push({ op_type: type, name: `${type}_${nodes.length}`, input: from, output: [output], attribute });
      return output;
    },
    floats: (name, shape, values) => constant(name, 'float', shape, { raw_data: bytesOf(values) }),
    doubles: (name, values) =>
      constant(name, 'double', [values.length], { raw_data: bytesOf(Float64Array.from(values)) }),
    integers: (name, values) =>
      constant(name, 'int64', [values.length], { raw_data: bytesOf(BigInt64Array.from(values, BigInt)) }),
    strings: (name, shape, values) =>
      constant(name, 'string', shape, { string_data: values.map((text) => new TextEncoder().encode(text)) }),
    input(name, type, width, description) {
      inputs.push(value(name, type, width, description));
      return name;
    },
    output: (name, type, width) => void outputs.push(value(name, type, width)),
    finish: (name) => ({ name, node: nodes, initializer: initializers, input: inputs, output: outputs }),
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Float64Array | BigInt64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
