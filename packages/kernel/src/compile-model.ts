import type { Parameter, Program } from './kernel.js';
import type { LayerSpec, ModelSpec } from './model-spec.js';
import { type Operation, scratchLayout } from './operations.js';

/** What the kernels see of a `Program`: also its flat list of operations. Only `compileModel` makes one. */
export interface CompiledProgram extends Program {
  readonly operations: readonly Operation[];
}

/**
 * Checks a model and turns it into the flat program the kernels run.
 *
 * Parameters lie in the order of the layers, a dense layer's weight [units, inputs] before its bias [units], without
 * gaps. An activation that follows a dense layer is fused into it.
 * @throws RangeError naming the layer and the sizes that do not fit
 */
export function compileModel(spec: ModelSpec): Program {
  checkSize('inputs', spec.inputs);
  checkSize('outputs', spec.outputs);
  checkEnd(spec);
  const parameters: Parameter[] = [];
  const operations: Operation[] = [];
  let width = spec.inputs;
  let parameterCount = 0;
  for (const [index, layer] of spec.layers.entries()) {
    if (layer.kind !== 'dense') {
      const previous = operations.at(-1);
      if (previous?.kind === 'dense' && previous.activation === 'none') {
        operations[operations.length - 1] = { ...previous, activation: layer.kind };
      } else {
        operations.push({ kind: 'activation', activation: layer.kind, width });
      }
      continue;
    }
    checkSize(`layers[${index}] dense: units`, layer.units);
    const weightOffset = parameterCount;
    const biasOffset = weightOffset + layer.units * width;
    parameterCount = biasOffset + layer.units;
    if (!Number.isSafeInteger(parameterCount)) {
      throw new RangeError(`layers[${index}] dense: ${layer.units} x ${width} weights are too many to count`);
    }
    const name = `layers.${index}`;
    parameters.push(
      { name: `${name}.weight`, shape: [layer.units, width], offset: weightOffset, size: layer.units * width },
      { name: `${name}.bias`, shape: [layer.units], offset: biasOffset, size: layer.units },
    );
    operations.push({ kind: 'dense', inputs: width, width: layer.units, weightOffset, biasOffset, activation: 'none' });
    width = layer.units;
  }
  const compiled: CompiledProgram = {
    spec,
    parameters,
    parameterCount,
    targetCount: spec.loss.kind === 'meanSquaredError' ? spec.outputs : 1,
    operations,
    scratchBytes: (samples) => scratchLayout(operations, samples).bytes,
  };
  return compiled;
}

/** The kernels' view of a program. */
export function compiledProgram(program: Program): CompiledProgram {
  if ('operations' in program) {
    return program as CompiledProgram; // nothing but compileModel makes programs, and its programs have operations
  }
  throw new TypeError('a kernel only runs programs made by compileModel');
}

function checkSize(what: string, size: number): void {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new RangeError(`${what} must be a whole number of at least 1, received ${size}`);
  }
}

/** The last layer gives the K outputs, and K suits the loss. */
function checkEnd(spec: ModelSpec): void {
  const index = spec.layers.length - 1;
  const last = spec.layers[index];
  if (last === undefined) {
    throw new RangeError(`layers: at least a dense layer of ${spec.outputs} units is needed, received none`);
  }
  if (last.kind !== 'dense' || last.units !== spec.outputs) {
    throw new RangeError(
      `layers[${index}]: the last layer must be dense with ${spec.outputs} units (outputs), received ${describe(last)}`,
    );
  }
  if (spec.loss.kind === 'binaryCrossEntropy' && spec.outputs !== 1) {
    throw new RangeError(`layers[${index}]: binaryCrossEntropy needs 1 output, received ${spec.outputs}`);
  }
  if (spec.loss.kind === 'softmaxCrossEntropy' && spec.outputs < 2) {
    throw new RangeError(`layers[${index}]: softmaxCrossEntropy needs at least 2 outputs, received ${spec.outputs}`);
  }
}

function describe(layer: LayerSpec): string {
  return layer.kind === 'dense' ? `dense with ${layer.units} units` : layer.kind;
}
