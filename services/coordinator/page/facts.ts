/** Lists of figures: the run, its result, how steps are shared out, the coordinator's process. */
import type { Pairs } from './elements.js';
import type { SystemFigures } from './messages.js';
import type { RunView } from './run-view.js';
import { bytes, counted, duration, elapsed, percent } from './words.js';

type Figures = readonly (readonly [name: string, value: string | undefined])[];

const known = (figures: Figures): Pairs =>
  figures.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));

export function figuresOf(view: RunView): Pairs {
  const last = view.steps.at(-1);
  const validation = view.epochs.at(-1)?.validation;
  const samples = (view.finished ?? view).samplesPerSecond;
  const goodput = view.finished?.goodput ?? view.live?.goodput;
  return known([
    ['loss', last?.loss.toPrecision(4)],
    ['validation loss', validation?.loss.toPrecision(4)],
    ['validation accuracy', validation?.accuracy === undefined ? undefined : percent(validation.accuracy)],
    ['samples a second', samples?.toLocaleString('en', { maximumFractionDigits: 0 })],
    ['ms a step', last?.ms.toFixed(2)],
    ['epoch', epochOf(view)],
    ['checkpoint', view.checkpointStep === undefined ? undefined : `step ${view.checkpointStep.toLocaleString('en')}`],
    ['goodput', goodput === undefined ? undefined : percent(goodput)],
  ]);
}

function epochOf({ started, finished, epochs, live }: RunView): string | undefined {
  if (started === undefined) return undefined;
  if (live !== undefined && finished === undefined) return `${live.coverage.epoch + 1} of ${started.epochs}`;
  const done = finished?.epochs ?? epochs.at(-1)?.epoch;
  return done === undefined ? undefined : `${done} of ${started.epochs}`;
}

export function resultOf(finished: NonNullable<RunView['finished']>): Pairs {
  const { test, workersLost, blocksReissued } = finished;
  const faults = `${counted(workersLost, 'worker')} lost, ${counted(blocksReissued, 'block')} run again`;
  return known([
    ['test accuracy', test?.accuracy === undefined ? undefined : percent(test.accuracy)],
    ['test r²', test?.r2?.toPrecision(4)],
    ['test loss', test?.loss.toPrecision(5)],
    ['time', duration(finished.seconds)],
    ['stopped by', finished.stoppedBy],
    ['faults', workersLost + blocksReissued === 0 ? 'none' : `${faults}; the weights are the same as without`],
    ['weights sha256', finished.weightsSha256],
    ['optimizer sha256', finished.optimizerSha256],
    ['kernel', finished.kernel],
    ['model', finished.modelPath],
  ]);
}

/** The planner's last word. */
export function planOf({ grainEvent }: RunView): Pairs {
  if (grainEvent === undefined) return [];
  const { grain, stepsPerLease, computeMs, exchangeMs, savedMs, reason, workers } = grainEvent;
  const leased = `one worker at a time makes ${counted(stepsPerLease, 'whole step')} by itself`;
  return known([
    ['now', grain === 'run' ? leased : `the blocks of every step are shared by ${counted(workers, 'worker')}`],
    ['why', reason],
    ['a step on one worker', computeMs === undefined ? undefined : elapsed(computeMs)],
    ['sharing it would save', savedMs === undefined ? undefined : elapsed(savedMs)],
    ['sharing it costs', elapsed(exchangeMs)],
  ]);
}

/** An event loop that is later than this holds up heartbeats. */
const SLOW_LOOP_MS = 200;

export function systemOf({ redis, queue, eventLoop, memoryBytes, disk }: SystemFigures, redisName: string): Pairs {
  const { answers, latencyMs, usedBytes, limitBytes, evictionPolicy, clients } = redis;
  const limit = limitBytes === undefined || limitBytes === 0 ? 'no limit' : `of ${bytes(limitBytes)}`;
  const evicts = evictionPolicy !== undefined && evictionPolicy !== 'noeviction';
  return known([
    [
      redisName,
      answers ? (latencyMs === undefined ? 'answers' : `answers in ${elapsed(latencyMs)}`) : 'does not answer',
    ],
    ['its memory', usedBytes === undefined ? undefined : `${bytes(usedBytes)}, ${limit}`],
    [
      'when it is full',
      evictionPolicy === undefined
        ? undefined
        : evicts
          ? `${evictionPolicy}: it may throw work away`
          : 'refuses (noeviction)',
    ],
    ['its connections', clients?.toLocaleString('en')],
    ['jobs in the queues', queue === undefined ? undefined : `${queue.waiting} waiting, ${queue.active} taken`],
    [
      'coordinator’s event loop',
      `${percentOf(eventLoop.busy)} busy, at most ${elapsed(eventLoop.p99Ms)} late${eventLoop.p99Ms > SLOW_LOOP_MS ? ': too late' : ''}`,
    ],
    ['its memory ', bytes(memoryBytes)],
    ['disk', disk === undefined ? undefined : `${bytes(disk.freeBytes)} free of ${bytes(disk.totalBytes)}`],
  ]);
}

const percentOf = (share: number): string => `${(share * 100).toFixed(0)} %`;
