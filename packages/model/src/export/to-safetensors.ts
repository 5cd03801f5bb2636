/** A model as one safetensors file that says all about itself: what `model.json` says is in its metadata. */
import { encodeSafetensors, parameterTensor, type TrainedModel } from '#storage';

/**
 * Tensors are named as PyTorch's `nn.Sequential` under the name `layers` would. The metadata holds JSON texts under
 * `architecture`, `preprocessing`, `classes` and `targetNames`.
 */
export function toSafetensors({ run, spec, dataset, parameters, weights, weightsSha256 }: TrainedModel): Uint8Array {
  const metadata = new Map([
    ['format', 'pt'], // what PyTorch's and transformers' readers ask for: plain tensors, rows first
    ['producer', 'ropeteam'],
    ['run', run],
    ['architecture', JSON.stringify(spec)],
    ['preprocessing', JSON.stringify(dataset.preprocessing)],
    ['classes', JSON.stringify(dataset.classes)],
    ['targetNames', JSON.stringify(dataset.targetNames)],
    ['weightsSha256', weightsSha256],
  ]);
  return encodeSafetensors(
    parameters.map((parameter) => parameterTensor(parameter, parameter.name, weights, 0)),
    metadata,
  );
}
