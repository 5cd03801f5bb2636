/** Weights as tensors of a file, and their fingerprint. */
import type { Parameter } from '#kernel';
import { sha256OfParts } from './atomic-file.js';
import { bytesOf, type NamedTensor } from './safetensors.js';

/** SHA-256 over the float32 little-endian bytes of all parameters in the order of the layers: 64 hexadecimal digits. */
export function weightsSha256(weights: Float32Array): Promise<string> {
  return sha256OfParts([bytesOf(weights)]);
}

/** One parameter's floats out of `values`, as a tensor called `name`. @param base where the parameters begin in `values` */
export function parameterTensor(parameter: Parameter, name: string, values: Float32Array, base: number): NamedTensor {
  const begin = base + parameter.offset;
  const data = bytesOf(values.subarray(begin, begin + parameter.size));
  return { name, dtype: 'F32', shape: parameter.shape, data };
}
