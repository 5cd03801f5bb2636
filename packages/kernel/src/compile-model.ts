import { checkModel } from './check-model.js';
import type { Parameter, Program } from './kernel.js';
import type { LossSpec, ModelSpec } from './model-spec.js';
import { type Operation, type ScratchLayout, scratchLayout } from './operations.js';

/** What the kernels see of a `Program`: also its flat list of operations. Only `compileModel` makes one. */
export interface CompiledProgram extends Program {
  readonly operations: readonly Operation[];
  /** Where everything a micro-batch needs lies in scratch memory: worked out once for each size. */
  layoutOf(samples: number): ScratchLayout;
}

/**
 * Checks a model and turns it into the flat program the kernels run.
 *
 * Parameters lie in the order of the layers, each layer's weight before its bias, without gaps. An activation that
 * follows a dense layer is fused into it if its way back needs no more than its output. A dropout of rate 0 is left out.
 * @throws RangeError naming the layer and the sizes that do not fit
 */
export function compileModel(spec: ModelSpec): Program {
  checkModel(spec);
  const parameters: Parameter[] = [];
  const operations: Operation[] = [];
  let width = spec.inputs;
  let parameterCount = 0;
  const addParameter = (name: string, shape: readonly number[]): number => {
    const offset = parameterCount;
    const size = shape.reduce((product, length) => product * length, 1);
    parameters.push({ name, shape, offset, size });
    parameterCount += size;
    return offset;
  };

  for (const [index, layer] of spec.layers.entries()) {
    const name = `layers.${index}`;
    switch (layer.kind) {
      case 'dense': {
        const { units } = layer;
        const weightOffset = addParameter(`${name}.weight`, [units, width]);
        const biasOffset = addParameter(`${name}.bias`, [units]);
        if (!Number.isSafeInteger(parameterCount)) {
          throw new RangeError(`layers[${index}] dense: ${units} x ${width} weights are too many to count`);
        }
        const plain = { activation: 'none', slope: 0 } as const;
        operations.push({ kind: 'dense', inputs: width, width: units, weightOffset, biasOffset, ...plain });
        width = units;
        break;
      }
      case 'relu':
      case 'leakyRelu':
      case 'sigmoid':
      case 'tanh': {
        const slope = layer.kind === 'leakyRelu' ? layer.slope : 0;
        const previous = operations.at(-1);
        if (previous?.kind === 'dense' && previous.activation === 'none') {
          operations[operations.length - 1] = { ...previous, activation: layer.kind, slope };
        } else {
          operations.push({ kind: 'activation', activation: layer.kind, slope, width });
        }
        break;
      }
      case 'gelu':
      case 'softmax':
        operations.push({ kind: layer.kind, width });
        break;
      case 'dropout':
        if (layer.rate > 0) operations.push({ kind: 'dropout', width, rate: layer.rate, layer: index });
        break;
      case 'layerNorm': {
        const weightOffset = addParameter(`${name}.weight`, [width]);
        const biasOffset = addParameter(`${name}.bias`, [width]);
        operations.push({ kind: 'layerNorm', width, weightOffset, biasOffset, epsilon: layer.epsilon });
        break;
      }
      default:
        layer satisfies never;
    }
  }
  const layouts = new Map<number, ScratchLayout>();
  const layoutOf = (samples: number): ScratchLayout => {
    let layout = layouts.get(samples);
    if (layout === undefined) {
      layout = scratchLayout(operations, samples);
      layouts.set(samples, layout);
    }
    return layout;
  };
  const compiled: CompiledProgram = {
    spec,
    parameters,
    parameterCount,
    targetCount: isRegression(spec.loss) ? spec.outputs : 1,
    operations,
    layoutOf,
    scratchBytes: (samples) => layoutOf(samples).bytes,
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

/** Whether targets are numbers, one an output, and not the label of a class. */
function isRegression(loss: LossSpec): boolean {
  return loss.kind === 'meanSquaredError' || loss.kind === 'huber';
}
