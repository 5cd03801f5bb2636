import { weightBytes } from '#kernel';
import {
  ADOPT,
  AVERAGE,
  averagerTableLength,
  ROUND_WEIGHTS,
  SQUARE_NORM,
  writeAdoptArguments,
  writeAverageArguments,
} from './averager-commands.js';
import { createControlBlock, ENDED_MS, RESULTS, STARTED_MS } from './control-block.js';
import type { AdoptRequest, AverageRequest, AverageResult, AveragerEngine, AveragerEngineOptions } from './engine.js';
import { hashDigits } from './hash-digits.js';
import { checkThreadLimit, loadKernel } from './kernel-loading.js';
import { bytesAt, createSharedMemory, floatsAt, growTo } from './linear-memory.js';
import { averagerBytes, planAveragerMemory } from './memory-plan.js';
import { oneAtATime } from './one-at-a-time.js';
import { averageParticipants } from './participants.js';
import { foldsUpTree } from './reduction-tree.js';
import { openThreadCrew } from './thread-crew.js';
import type { ThreadSetup } from './thread-setup.js';
import { piecesOf } from './update-pieces.js';

/**
 * Opens the coordinator's kernel: allocates weights, optimizer state and one inbox slot, all zero, loads the kernel and
 * starts its threads.
 * @throws RangeError for options out of range, ModelTooLargeError (one too) before anything is allocated
 * @throws KernelUnavailableError when this machine lacks what the kernel needs
 */
export async function openAveragerEngine(options: AveragerEngineOptions): Promise<AveragerEngine> {
  const { threads, microBatches } = options;
  checkL2(options);
  const plan = planAveragerMemory(options);
  const { parameterCount } = plan;
  const kernel = await loadKernel(options);
  checkThreadLimit(kernel, threads);
  const memory = createSharedMemory(averagerBytes(plan, 1));
  const pieces = piecesOf(options);
  const ranges = pieces.length;
  const isLamb = options.optimizer.kind === 'lamb';
  const normPieces = isLamb ? pieces.reduce((sum, { length }) => sum + length, 0) : 0;
  const control = createControlBlock(threads, averagerTableLength(microBatches, ranges, normPieces));
  const setups = Array.from(
    { length: threads },
    (_, index): ThreadSetup => ({ role: 'averager', index, control, memory, kernel, options, plan }),
  );
  const crew = await openThreadCrew(new URL('./kernel-thread.js', import.meta.url), setups, control);

  const { numbers } = control;
  const hash = new BigUint64Array(numbers.buffer, 8 * RESULTS, 1);
  const inbox = new Map<number, Uint8Array<SharedArrayBuffer>>();
  const calls = oneAtATime();
  const addressOf = (slot: number): number => plan.inbox + slot * plan.inboxStride;

  async function average(request: AverageRequest): Promise<AverageResult> {
    const { step, blocks, sampleCount, learningRate, clipNorm = Number.POSITIVE_INFINITY, leaveOut = false } = request;
    checkRequest(request, inbox);
    const slots = blocks.map(({ slot }) => addressOf(slot));
    const folds = foldsUpTree(blocks, microBatches).map(({ into, right, begin, end }) => ({
      into: slots[into]!,
      right: slots[right]!,
      begin,
      end,
    }));
    const root = slots[blocks.findIndex(({ begin }) => begin === 0)]!; // they cover [0, M), so one begins at 0
    writeAverageArguments(control, { step, sampleCount, learningRate, clipNorm, root, folds, leaveOut });
    await crew.run({ command: AVERAGE, participants: averageParticipants(threads, ranges), phases: isLamb ? 3 : 2 });
    const gradientNorm = Math.sqrt(numbers[SQUARE_NORM]!);
    return {
      gradientNorm,
      finite: Number.isFinite(gradientNorm) && !leaveOut,
      weightsHash: hashDigits(hash[0]!),
      computeMs: numbers[ENDED_MS]! - numbers[STARTED_MS]!,
    };
  }

  async function roundWeights(): Promise<void> {
    if (plan.mean === undefined) return; // they travel as they are
    await crew.run({ command: ROUND_WEIGHTS, participants: averageParticipants(threads, ranges), phases: 1 });
  }

  async function adopt({ place, weightsHash }: AdoptRequest): Promise<boolean> {
    const address = plan.leasePlaces[place];
    if (address === undefined) throw new RangeError(`there is no place ${place} for what a lease left behind`);
    writeAdoptArguments(control, { place: address, weightsHash: BigInt(`0x${weightsHash}`) });
    await crew.run({ command: ADOPT, participants: averageParticipants(threads, ranges), phases: 2 });
    return hashDigits(hash[0]!) === weightsHash;
  }

  return {
    kernelId: crew.kernelId,
    parameterCount,
    weights: floatsAt(memory, plan.weights, parameterCount),
    optimizerState: floatsAt(memory, plan.optimizerState, parameterCount * plan.optimizerSlots),
    wireWeights: bytesAt(memory, plan.wireWeights, weightBytes(options.wire ?? 'float32', parameterCount)),
    roundWeights: () => calls.run(roundWeights),
    leasePlaces: plan.leasePlaces.length,
    leasePlace(place) {
      const address = plan.leasePlaces[place];
      if (address === undefined) throw new RangeError(`there is no place ${place} for what a lease left behind`);
      return floatsAt(memory, address, parameterCount * (1 + plan.optimizerSlots));
    },
    adopt: (request) => calls.run(() => adopt(request)),
    inbox(slot) {
      const opened = inbox.get(slot);
      if (opened !== undefined) return opened;
      if (!Number.isSafeInteger(slot) || slot < 0)
        throw new RangeError(`an inbox slot is a natural number, received ${slot}`);
      growTo(memory, averagerBytes(plan, slot + 1));
      const gradient = bytesAt(memory, addressOf(slot), plan.nodeBytes);
      inbox.set(slot, gradient);
      return gradient;
    },
    average: (request) => calls.run(() => average(request)),
    [Symbol.asyncDispose]: () => crew[Symbol.asyncDispose](),
  };
}

function checkL2({ l2 = 0, optimizer }: AveragerEngineOptions): void {
  if (!(Number.isFinite(l2) && l2 >= 0)) throw new RangeError(`l2 must be a number from 0, received ${l2}`);
  if (l2 > 0 && 'weightDecay' in optimizer) {
    throw new RangeError(`${optimizer.kind} has a weight decay of its own and takes no l2, received ${l2}`);
  }
}

function checkRequest(
  { step, blocks, sampleCount, learningRate, clipNorm }: AverageRequest,
  inbox: ReadonlyMap<number, unknown>,
): void {
  const unopened = blocks.find(({ slot }) => !inbox.has(slot));
  if (unopened !== undefined) throw new RangeError(`nothing was received in inbox slot ${unopened.slot}`);
  if (new Set(blocks.map(({ slot }) => slot)).size !== blocks.length) {
    throw new RangeError('two blocks of a step lie in the same inbox slot');
  }
  if (!Number.isSafeInteger(step) || step < 0) throw new RangeError(`step must be a natural number, received ${step}`);
  if (!Number.isSafeInteger(sampleCount) || sampleCount < 1) {
    throw new RangeError(`sampleCount must be a positive integer, received ${sampleCount}`);
  }
  if (!Number.isFinite(learningRate)) throw new RangeError(`learningRate must be finite, received ${learningRate}`);
  if (clipNorm !== undefined && !(clipNorm > 0)) throw new RangeError(`clipNorm must be above 0, received ${clipNorm}`);
}
