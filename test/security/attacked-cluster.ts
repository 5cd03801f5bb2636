/** A cluster with certificates and tokens, as those who attack it see it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectClient, issueCertificate, type RunClient } from '#protocol';
import { RopeteamError, type RunEvent } from '#training';
import { makeCertificates } from '../support/certificates.js';
import { startTestCluster, type TestCluster, type TestJob } from '../support/cluster.js';
import type { Target } from './target.js';

export interface AttackedCluster extends AsyncDisposable {
  readonly cluster: TestCluster;
  readonly target: Target;
  /** Somebody who may look, and must be answered all the while. */
  readonly honest: RunClient;
  /** What the coordinator holds, in bytes. */
  residentBytes(): Promise<number>;
}

export async function startAttackedCluster(): Promise<AttackedCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-attacks-'));
  const certificates = makeCertificates(join(folder, 'certs'));
  const stranger = makeCertificates(join(folder, 'others'));
  const { authority, identities, tokens } = certificates;
  const long = { days: 1, now: new Date(Date.now() - 3 * 86_400_000) };
  const cluster = await startTestCluster({
    workers: 2,
    certificates: certificates.folder,
    coordinatorArgs: ['--http-tokens', join(certificates.folder, 'http-tokens')],
    onLog: () => undefined, // it has much to tell of
  });
  const honest = connectClient(cluster.grpc, { tls: identities.viewer });
  const target: Target = {
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
  return {
    cluster,
    target,
    honest,
    residentBytes: async () => {
      const status = await readFile(`/proc/${cluster.coordinator.pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
    },
    [Symbol.asyncDispose]: async () => {
      honest.close();
      await cluster[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Trains one run after the other until `over`. @returns the hashes they ended with */
export async function trainUntil(
  over: () => boolean,
  cluster: TestCluster,
  job: TestJob,
  onEvent?: (event: RunEvent) => void,
): Promise<ReadonlySet<string>> {
  const hashes = new Set<string>();
  do {
    try {
      hashes.add((await cluster.finish(job, onEvent)).weightsSha256);
    } catch (error) {
      // While others fill the places of uploads, an honest one is told to come again.
      if (!(error instanceof RopeteamError) || error.code !== 'DATA.LIMIT') throw error;
    }
  } while (!over());
  return hashes;
}
