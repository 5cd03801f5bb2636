/**
 * A coordinator is attacked while it trains: it must stay, keep its memory, and end with the weights of a calm day. Each
 * attack has the number of its goal (S) or bad input (B) and says what becomes of it. How fast it stays meanwhile is
 * measured in `bench/`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digitsJob } from '../support/jobs.js';
import { type AttackedCluster, startAttackedCluster, trainUntil } from './attacked-cluster.js';
import { callAttacks } from './call-attacks.js';
import { http2Attacks } from './http2-attacks.js';
import { pageAttacks } from './page-attacks.js';
import { tlsAttacks } from './tls-attacks.js';

const MOST_GROWTH_BYTES = 64 << 20;
const DEADLINE_MS = 120_000;
const job = digitsJob({ epochs: 6, microBatches: 4 });

let attacked: AttackedCluster;
let calmHash: string;
let calmBytes: number;
let mostBytes = 0;
/** Trains one run after the other until the attacks are over, and resolves with their hashes. */
let training: Promise<ReadonlySet<string>>;
let over = false;

beforeAll(async () => {
  attacked = await startAttackedCluster();
  for (let run = 0; run < 3; run++) calmHash = (await attacked.cluster.finish(job)).weightsSha256;
  calmBytes = await attacked.residentBytes();
  training = trainUntil(() => over, attacked.cluster, job);
  training.catch(() => undefined); // told where it is awaited
}, DEADLINE_MS);

afterAll(async () => {
  over = true;
  await training?.catch(() => undefined);
  await attacked?.[Symbol.asyncDispose]();
}, DEADLINE_MS);

/** Those that only ask whether a connection is cut disturb each other no more than the coordinator. */
const suites = [
  { who: 'somebody on the network', attacks: tlsAttacks, together: true },
  { who: 'a connection with a certificate', attacks: http2Attacks, together: true },
  { who: 'calls of others', attacks: callAttacks, together: false },
  { who: 'page, metrics and queue', attacks: pageAttacks, together: false },
];

describe.each(suites)('$who', ({ attacks, together }) => {
  (together ? test.concurrent : test).each(attacks.map((attack) => [attack.name, attack] as const))(
    '%s',
    { timeout: 60_000 },
    async (_name, { run, result }) => {
      expect(await run(attacked.target)).toBe(result);
      expect((await attacked.honest.list()).length, 'an honest viewer is answered').toBeGreaterThan(0);
      mostBytes = Math.max(mostBytes, await attacked.residentBytes());
    },
  );
});

test(
  'afterwards the coordinator is there, no larger, and every run ended with the weights of the calm one',
  async () => {
    over = true;
    expect(await training).toEqual(new Set([calmHash]));
    expect(attacked.cluster.coordinator.exitCode).toBeNull();
    expect((mostBytes - calmBytes) / 2 ** 20).toBeLessThan(MOST_GROWTH_BYTES / 2 ** 20);
    expect(suites.flatMap(({ attacks }) => attacks).length).toBeGreaterThan(40);
  },
  DEADLINE_MS,
);
