/** What the tests of the queues share: items, hands that hold them, and a namespace of their own to do it in. */
import { Redis } from 'ioredis';
import {
  type AverageItem,
  type EvaluationItem,
  type Fence,
  fence,
  type GradientItem,
  runId,
  step,
  type TakenItem,
  type WorkQueues,
  type WorkSource,
} from '#training';
import { openWorkQueues } from './work-queues.js';
import { openWorkSource } from './work-source.js';

export const run = runId('digits-7f3a');

export function gradient(number: number, block = 0, ofFence: Fence = fence(1), ofRun = run): GradientItem {
  return {
    kind: 'gradient',
    run: ofRun,
    fence: ofFence,
    step: step(number),
    epoch: 0,
    firstPosition: number * 64,
    endPosition: number * 64 + 64,
    block: { begin: block, end: block + 1 },
    issue: 0,
  };
}

export const average = (number: number): AverageItem => ({ kind: 'average', run, fence: fence(1), step: step(number) });

export const evaluation = (version: number): EvaluationItem => ({
  kind: 'evaluation',
  run,
  fence: fence(1),
  version: step(version),
  split: 'test',
  part: 0,
  begin: 0,
  end: 100,
  issue: 0,
});

/** Hands each taken item to the test, which decides when and how it ends. */
export class Hands {
  readonly #arrived: Held[] = [];
  readonly #wanted: ((held: Held) => void)[] = [];
  readonly process = (taken: TakenItem): Promise<unknown> => {
    const { promise, resolve, reject } = deferred();
    const held = { taken, finish: () => resolve(undefined), fail: (reason: string) => reject(new Error(reason)) };
    const wanted = this.#wanted.shift();
    if (wanted === undefined) this.#arrived.push(held);
    else wanted(held);
    return promise;
  };
  next(): Promise<Held> {
    const arrived = this.#arrived.shift();
    return arrived === undefined ? new Promise((resolve) => this.#wanted.push(resolve)) : Promise.resolve(arrived);
  }
  /** Finishes items as they come and returns the ids of the first `count`. */
  async finish(count: number): Promise<readonly string[]> {
    const ids: string[] = [];
    while (ids.length < count) {
      const { taken, finish } = await this.next();
      ids.push(taken.itemId);
      finish();
    }
    return ids;
  }
  get waiting(): number {
    return this.#arrived.length;
  }
}

export interface Held {
  readonly taken: TakenItem;
  readonly finish: () => void;
  readonly fail: (reason: string) => void;
}

export function deferred() {
  let resolve: (value: unknown) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<unknown>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

let places = 0;

export interface Place extends AsyncDisposable {
  readonly namespace: string;
  readonly queues: WorkQueues;
  /** What any part reported to its `onError`. */
  readonly errors: Error[];
  /** Closed with the place, the latest first. */
  readonly opened: AsyncDisposable[];
  /** A started source. */
  source(hands: Hands, name?: string): Promise<WorkSource>;
  rawClient(): Promise<Redis>;
}

/** The queues in a namespace no other test uses. */
export async function openPlace(redisUrl: string): Promise<Place> {
  const namespace = `test-${process.pid}-${++places}`;
  const errors: Error[] = [];
  const opened: AsyncDisposable[] = [];
  const onError = (error: Error): number => errors.push(error);
  const queues = await openWorkQueues({ redisUrl, namespace, onError });
  opened.push(queues);
  return {
    namespace,
    queues,
    errors,
    opened,
    async source(hands, name) {
      const source = await openWorkSource({ redisUrl, namespace, onError, ...(name === undefined ? {} : { name }) });
      opened.push(source);
      source.start(hands.process);
      return source;
    },
    async rawClient() {
      const client = new Redis(redisUrl);
      opened.push({ [Symbol.asyncDispose]: async () => void (await client.quit()) });
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const resource of opened.splice(0).reverse()) await resource[Symbol.asyncDispose]();
    },
  };
}
