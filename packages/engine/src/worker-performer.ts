import { compileModel, type Kernel, type LossSums, microBatchRange } from '#kernel';
import { RESULTS, TABLE } from './control-block.js';
import { allRanges, createGradientNodes } from './gradient-nodes.js';
import { createLeasePerformer, type SharedWork } from './lease-performer.js';
import { floatsAt } from './linear-memory.js';
import { createLocalPerformer } from './local-performer.js';
import { writeLossSums } from './loss-sums.js';
import { EVALUATION_CHUNK, RANGE_FLOATS } from './memory-plan.js';
import { type Fold, foldsUpTree, reduceSubtree, type Subtree } from './reduction-tree.js';
import { createRowStaging, type RowAddresses } from './row-staging.js';
import { createRowStore, type ShardMail } from './row-store.js';
import { tallyChunk } from './shared-tally.js';
import type { Performer } from './thread-service.js';
import type { ThreadSetup } from './thread-setup.js';
import type { ThreadTeam } from './thread-team.js';
import {
  COMPUTE_GRADIENT,
  COMPUTE_GRADIENT_TOGETHER,
  cutBlock,
  EVALUATE,
  type GradientArguments,
  LEASE,
  LOCAL,
  readEvaluationArguments,
  readGradientArguments,
  readWidenArguments,
  SNAPSHOT,
  WIDEN,
} from './worker-commands.js';

type TakePiece = (pieces: number) => number | undefined;

/** The kernels of one thread, over the same memory. */
export interface WorkerKernels {
  /** What the thread computes by itself. */
  readonly own: Kernel;
  /** Its part in what all participants of a command compute at the same time. */
  readonly together: Pick<Kernel, 'gradient'>;
  /** Who those participants are, as `together` sees them. */
  readonly team: ThreadTeam;
}

/** What one kernel thread of a worker does. Everything it writes is planned in `memory-plan`. */
export function createWorkerPerformer(
  setup: ThreadSetup & { role: 'worker' },
  { own: kernel, together, team }: WorkerKernels,
): Performer {
  const { control, memory, options, plan, tally } = setup;
  const { model, seed } = options;
  // Gradients of local steps never travel: they are not rounded.
  const { microBatches, wire = 'float32' } =
    options.local === undefined ? options : { microBatches: options.local.microBatches };
  const { parameterCount: P, subtreeGradients } = plan;
  const nodes = createGradientNodes(kernel, { wire, parameterCount: P, microBatches, seed });
  const own = plan.threads[setup.index]!; // one entry a thread was planned
  const program = compileModel(model);
  const first = plan.threads[0]!;
  const rows = createRowStore(model.inputs, program.targetCount);
  const staging = createRowStaging(setup, kernel, rows);
  const foldsOfSubtrees = new Map<number, readonly Fold[]>();

  /** Rows at positions `[begin, end)` in the first thread's memory, each copied by whoever is free. */
  function stageTogether(epoch: number, begin: number, end: number): RowAddresses {
    const rowsEach = Math.max(1, Math.floor(RANGE_FLOATS / model.inputs));
    team.share(Math.ceil((end - begin) / rowsEach), (piece) => {
      const from = begin + piece * rowsEach;
      staging.copyTraining(epoch, from, Math.min(end, from + rowsEach), first, piece * rowsEach);
    });
    return first;
  }

  function stageAlone(epoch: number, begin: number, end: number): RowAddresses {
    staging.copyTraining(epoch, begin, end, own);
    return own;
  }

  /**
   * All of a block, one micro-batch after the other, each by all threads: they stage its rows together, run the same
   * program on the same scratch memory, and fold together. Buffers are taken as one thread alone would.
   */
  function computeTogether(given: GradientArguments): void {
    const { step, epoch, firstPosition, endPosition, begin, end, weights } = given;
    const computeLeaf = (microBatch: number, node: number): void => {
      const gradient = first.leaf ?? node;
      const range = microBatchRange(firstPosition, endPosition, microBatches, microBatch);
      const samples = range.end - range.begin;
      const { features, targets } =
        staging.inPlace(epoch, range.begin, range.end) ?? stageTogether(epoch, range.begin, range.end);
      const draws = { seed, epoch, firstPosition: range.begin };
      const at = { weights, gradient, features, targets, scratch: first.scratch, samples, draws };
      const sums = together.gradient(program, at);
      if (setup.index === 0) writeSums(microBatch - begin, sums);
      if (first.leaf !== undefined) team.share(nodes.ranges, nodes.fromLeaf(gradient, node, step, microBatch));
    };
    const fold = (into: number, right: number, parent: Subtree): void =>
      team.share(nodes.ranges, nodes.fold(into, right, step, parent));
    reduceSubtree({ begin, end }, plan.levels, computeLeaf, fold);
  }

  /** Subtrees of the block, each folded by the thread that computed it. */
  function subtreesOf(given: GradientArguments): SharedWork {
    const { step, epoch, firstPosition, endPosition, begin, end, weights } = given;
    const { count, size } = cutBlock(begin, end, subtreeGradients.length);
    const computeLeaf = (microBatch: number, node: number): void => {
      const gradient = own.leaf ?? node;
      const range = microBatchRange(firstPosition, endPosition, microBatches, microBatch);
      const samples = range.end - range.begin;
      const { features, targets } =
        staging.inPlace(epoch, range.begin, range.end) ?? stageAlone(epoch, range.begin, range.end);
      const draws = { seed, epoch, firstPosition: range.begin };
      const at = { weights, gradient, features, targets, scratch: own.scratch, samples, draws };
      writeSums(microBatch - begin, kernel.gradient(program, at));
      allRanges(nodes, nodes.fromLeaf(gradient, node, step, microBatch));
    };
    const fold = (into: number, right: number, parent: Subtree): void =>
      allRanges(nodes, nodes.fold(into, right, step, parent));
    const work = (piece: number): void => {
      const subtree = { begin: begin + piece * size, end: begin + (piece + 1) * size };
      reduceSubtree(subtree, [subtreeGradients[piece]!, ...own.stack], computeLeaf, fold);
    };
    return { pieces: count, work };
  }

  /** Folds of so many subtrees, worked out once: each step has the same. */
  function foldsOver(subtrees: number): readonly Fold[] {
    let folds = foldsOfSubtrees.get(subtrees);
    if (folds === undefined) {
      const leaves = Array.from({ length: subtrees }, (_, leaf) => ({ begin: leaf, end: leaf + 1 }));
      folds = foldsUpTree(leaves, subtrees);
      foldsOfSubtrees.set(subtrees, folds);
    }
    return folds;
  }

  function writeSums(row: number, sums: LossSums): void {
    writeLossSums(control.numbers, TABLE, row, sums);
  }

  /** The levels above the subtrees, by ranges of parameters. */
  function foldsOf({ step, begin: first, end }: GradientArguments): SharedWork {
    const { count, size } = cutBlock(first, end, subtreeGradients.length);
    const folds = foldsOver(count).map(({ into, right, begin: from, end: to }) => {
      const parent = { begin: first + from * size, end: first + to * size };
      return nodes.fold(subtreeGradients[into]!, subtreeGradients[right]!, step, parent);
    });
    const work = (range: number): void => {
      for (const fold of folds) fold(range);
    };
    return { pieces: nodes.ranges, work };
  }

  /** Chunks of the request; sums of chunk c go to row c of the table. */
  function evaluateChunks(takePiece: TakePiece): void {
    const { split, begin, end, weights } = readEvaluationArguments(control);
    const { features, targets, scratch } = own;
    const gradient = subtreeGradients[0]!; // `evaluate` does not touch it
    const chunks = Math.ceil((end - begin) / EVALUATION_CHUNK);
    for (let chunk = takePiece(chunks); chunk !== undefined; chunk = takePiece(chunks)) {
      const from = begin + chunk * EVALUATION_CHUNK;
      const to = Math.min(end, from + EVALUATION_CHUNK);
      staging.copyStored(split, from, to, own);
      const at = { weights, gradient, features, targets, scratch, samples: to - from };
      writeSums(chunk, kernel.evaluate(program, at));
      const outputs = floatsAt(memory, kernel.outputsAt(program, at), at.samples * model.outputs);
      tallyChunk(tally, chunk, outputs, floatsAt(memory, targets, at.samples * program.targetCount));
    }
  }

  function takeAll({ pieces, work }: SharedWork, takePiece: TakePiece): void {
    for (let piece = takePiece(pieces); piece !== undefined; piece = takePiece(pieces)) work(piece);
  }

  const gather = (): void => team.gather(own.scratch - first.scratch);
  const work = { nodes, team, computeTogether, subtreesOf, foldsOf };
  const lease = createLeasePerformer(setup, kernel, work);
  const local = createLocalPerformer(setup, kernel, work);

  /** Weights as they travel, or those of a lease rounded alike, become the ones to compute on. */
  function widen(takePiece: TakePiece): void {
    const { from, masters } = readWidenArguments(control);
    const { widened } = plan;
    if (widened === undefined) return;
    for (let range = takePiece(nodes.ranges); range !== undefined; range = takePiece(nodes.ranges)) {
      const count = Math.min(RANGE_FLOATS, P - RANGE_FLOATS * range);
      const into = widened + 4 * RANGE_FLOATS * range;
      if (masters) kernel.roundToBfloat16(from + 4 * RANGE_FLOATS * range, into, count);
      else kernel.fromBfloat16(from + 2 * RANGE_FLOATS * range, into, count);
    }
  }

  function performGradient(command: number, phase: number, takePiece: TakePiece): void {
    const given = readGradientArguments(control);
    if (command === COMPUTE_GRADIENT_TOGETHER) {
      gather();
      computeTogether(given);
    } else takeAll(phase === 0 ? subtreesOf(given) : foldsOf(given), takePiece);
  }

  return {
    kernelId: kernel.id,
    perform(command, phase, takePiece) {
      if (command === EVALUATE) evaluateChunks(takePiece);
      else if (command === WIDEN) widen(takePiece);
      else if (command === SNAPSHOT) lease?.copy(takePiece);
      else if (command === LEASE) {
        gather();
        lease?.computeSteps();
      } else if (command === LOCAL) {
        gather();
        local?.computeReplicas();
      } else performGradient(command, phase, takePiece);
    },
    finish(command) {
      const hashes = new BigUint64Array(control.numbers.buffer);
      if (command === LOCAL && local !== undefined) hashes[RESULTS] = local.hash();
      if (command !== COMPUTE_GRADIENT && command !== COMPUTE_GRADIENT_TOGETHER) return;
      hashes[RESULTS] = kernel.hash(subtreeGradients[0]!, plan.nodeBytes);
    },
    receive(message) {
      const { kind, shard } = message as ShardMail; // a worker's threads are sent nothing else
      if (kind === 'add') rows.add(shard);
      else rows.drop(shard);
      staging.storeChanged();
    },
  };
}
