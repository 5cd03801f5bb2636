import { compiledProgram } from './compile-model.js';
import type { Kernel, LossSums } from './kernel.js';
import { type LinearMemory, memoryViews } from './linear-memory.js';
import type { Routines } from './routines.js';
import { backward, forward, loss, NOT_WANTED } from './run-program.js';
import { runLambDirection, runUpdate } from './run-update.js';

/** A kernel over `memory`: the order of calls that both engines share, around the routines that differ. */
export function createKernel(id: string, memory: LinearMemory, routines: Routines): Kernel {
  const views = memoryViews(memory);

  const readSums = (address: number, sampleCount: number): LossSums => {
    const { doubles } = views();
    const first = address / 8;
    return {
      sampleCount,
      lossSum: doubles[first]!,
      correctCount: doubles[first + 1]!,
      squaredErrorSum: doubles[first + 2]!,
      targetSum: doubles[first + 3]!,
      targetSquareSum: doubles[first + 4]!,
    };
  };

  return {
    id,
    gradient(program, at) {
      const compiled = compiledProgram(program);
      const layout = compiled.layoutOf(at.samples);
      const outputs = forward(routines, compiled, at, layout, 'gradient');
      loss(routines, compiled, at, layout, outputs, at.scratch + layout.gradients[0], views);
      backward(routines, compiled, at, layout);
      return readSums(at.scratch + layout.sums, at.samples);
    },
    evaluate(program, at) {
      const compiled = compiledProgram(program);
      const layout = compiled.layoutOf(at.samples);
      const outputs = forward(routines, compiled, at, layout, 'evaluate');
      loss(routines, compiled, at, layout, outputs, NOT_WANTED, views);
      return readSums(at.scratch + layout.sums, at.samples);
    },
    predict(program, at) {
      const compiled = compiledProgram(program);
      forward(routines, compiled, at, compiled.layoutOf(at.samples), 'evaluate');
    },
    outputsAt(program, { scratch, samples }) {
      // The last operation is the output layer, or what the job put behind it: never a dropout, which leaves no output.
      return scratch + compiledProgram(program).layoutOf(samples).outputs.at(-1)!;
    },
    fold: (into, right, count) => routines.fold(into, right, count),
    scale: (gradient, count, factor) => routines.scale(gradient, count, factor),
    squareSum: (gradient, count) => routines.squareSum(gradient, count),
    scaleSquareSum: (gradient, count, factor) => routines.scaleSquareSum(gradient, count, factor),
    update: (...request) => runUpdate(routines, ...request),
    lambDirection: (...request) => runLambDirection(routines, ...request),
    descend: (weights, direction, count, rate) => routines.sgd(weights, direction, count, 1, 0, rate),
    sampleIndexes: (keys, bits, samples, first, count, into) =>
      routines.sampleIndexes(keys, bits, samples, first, count, into),
    gatherRows: (from, width, indexes, count, into) => routines.gatherRows(from, width, indexes, count, into),
    toBfloat16: (...operands) => routines.toBfloat16(...operands),
    fromBfloat16: (...operands) => routines.fromBfloat16(...operands),
    roundToBfloat16: (...operands) => routines.roundToBfloat16(...operands),
    foldBfloat16: (...operands) => routines.foldBfloat16(...operands),
    toInt8: (...operands) => routines.toInt8(...operands),
    fromInt8: (...operands) => routines.fromInt8(...operands),
    foldInt8: (...operands) => routines.foldInt8(...operands),
    hash: (address, bytes) => BigInt.asUintN(64, routines.hash(address, bytes)),
  };
}
