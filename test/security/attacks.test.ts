/**
 * A coordinator is attacked while it trains: it must stay, keep its memory, and end with the weights of a calm day. Each
 * attack has the number of its goal (S) or bad input (B) and says what becomes of it. How fast it stays meanwhile is
 * measured in `bench/`.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, issueCertificate, type RunClient } from '#protocol';
import { RopeteamError } from '#training';
import { type CertificateSet, makeCertificates } from '../support/certificates.js';
import { startTestCluster, type TestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';
import { callAttacks } from './call-attacks.js';
import { http2Attacks } from './http2-attacks.js';
import { pageAttacks } from './page-attacks.js';
import type { Target } from './target.js';
import { tlsAttacks } from './tls-attacks.js';

const MOST_GROWTH_BYTES = 64 << 20;
const DEADLINE_MS = 120_000;
const job = digitsJob({ epochs: 6, microBatches: 4 });

let folder: string;
let certificates: CertificateSet;
let cluster: TestCluster;
let honest: RunClient;
let target: Target;
let calmHash: string;
let calmBytes: number;
let mostBytes = 0;
/** Trains one run after the other until the attacks are over, and resolves with their hashes. */
let training: Promise<ReadonlySet<string>>;
let over = false;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-attacks-'));
  certificates = makeCertificates(join(folder, 'certs'));
  const stranger = makeCertificates(join(folder, 'others'));
  const { authority, identities, tokens } = certificates;
  const long = { days: 1, now: new Date(Date.now() - 3 * 86_400_000) };
  cluster = await startTestCluster({
    workers: 2,
    certificates: certificates.folder,
    coordinatorArgs: ['--http-tokens', join(certificates.folder, 'http-tokens')],
    onLog: () => undefined, // it has much to tell of
  });
  for (let run = 0; run < 3; run++) calmHash = (await cluster.finish(job)).weightsSha256;
  calmBytes = await residentBytes();
  honest = connectClient(cluster.grpc, { tls: identities.viewer });
  target = {
    host: '127.0.0.1',
    port: Number(new URL(`tcp://${cluster.grpc}`).port),
    http: cluster.http,
    redis: cluster.redis,
    identities,
    stranger: { ...stranger.identities.worker, authority: authority.certificate },
    expired: await issueCertificate(authority, { role: 'worker' }, long),
    named: await issueCertificate(authority, { role: 'worker', name: 'w7' }, { days: 1 }),
    tokens,
  };
  training = trainOn();
  training.catch(() => undefined); // told where it is awaited
}, DEADLINE_MS);

afterAll(async () => {
  over = true;
  await training?.catch(() => undefined);
  honest?.close();
  await cluster?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}, DEADLINE_MS);

async function trainOn(): Promise<ReadonlySet<string>> {
  const hashes = new Set<string>();
  do {
    try {
      hashes.add((await cluster.finish(job)).weightsSha256);
    } catch (error) {
      // While others fill the places of uploads, an honest one is told to come again.
      if (!(error instanceof RopeteamError) || error.code !== 'DATA.LIMIT') throw error;
    }
  } while (!over);
  return hashes;
}

async function residentBytes(): Promise<number> {
  const status = await readFile(`/proc/${cluster.coordinator.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

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
      expect(await run(target)).toBe(result);
      expect((await honest.list()).length, 'an honest viewer is answered').toBeGreaterThan(0);
      mostBytes = Math.max(mostBytes, await residentBytes());
    },
  );
});

test(
  'afterwards the coordinator is there, no larger, and every run ended with the weights of the calm one',
  async () => {
    over = true;
    expect(await training).toEqual(new Set([calmHash]));
    expect(cluster.coordinator.exitCode).toBeNull();
    expect((mostBytes - calmBytes) / 2 ** 20).toBeLessThan(MOST_GROWTH_BYTES / 2 ** 20);
    expect(suites.flatMap(({ attacks }) => attacks).length).toBeGreaterThan(40);
  },
  DEADLINE_MS,
);
