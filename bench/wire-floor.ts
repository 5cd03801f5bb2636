/** What moving weights to two workers and as much gradient back costs alone: no queue, no kernel, no ledger. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { collectFrameGarbageAtOnce, encodeWeights, startCoordinatorServer } from '#protocol';
import {
  type CoordinatorHandlers,
  fence,
  runId,
  type SessionHandler,
  step,
  type WorkerMessage,
  type WorkerSession,
} from '#training';

const ECHO = fileURLToPath(new URL('./wire-echo.js', import.meta.url));

/** Milliseconds of each round: weights of `parameters` floats to two worker processes, and the same back from both. */
export async function wireRounds(parameters: number, rounds: number): Promise<readonly number[]> {
  collectFrameGarbageAtOnce();
  const sessions: WorkerSession[] = [];
  const arrivals = new EventTarget();
  let arrived = 0;
  const refuse = (): never => {
    throw new Error('not part of this benchmark');
  };
  const handler: SessionHandler = {
    message: (message: WorkerMessage) => {
      if (message.kind !== 'gradient-frame') return;
      const { offset, payload, totalBytes } = message.frame;
      if (offset + payload.length < totalBytes) return;
      arrived++;
      arrivals.dispatchEvent(new Event('arrived'));
    },
    closed: () => undefined,
  };
  const handlers: CoordinatorHandlers = {
    workerJoined: (session) => {
      sessions.push(session);
      arrivals.dispatchEvent(new Event('arrived'));
      return handler;
    },
    ...{ readShard: refuse, submit: refuse, listRuns: refuse, watch: refuse, stop: refuse, resume: refuse },
  };
  const server = await startCoordinatorServer({
    host: '127.0.0.1',
    port: 0,
    handlers,
    uploadsDirectory: '/nonexistent',
  });
  const echoes = ['w0', 'w1'].map((name) =>
    spawn(process.execPath, [ECHO, server.address, name], { stdio: 'inherit' }),
  );
  while (sessions.length < 2) await once(arrivals, 'arrived');
  const weights = new Float32Array(new SharedArrayBuffer(parameters * 4)).fill(1);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now();
    arrived = 0;
    const encoded = encodeWeights({ run: runId('floor'), fence: fence(1), version: step(round) }, weights);
    for (const session of sessions) session.sendWeights(encoded);
    while (arrived < 2) await once(arrivals, 'arrived');
    times.push(performance.now() - startedAt);
  }
  const gone = echoes.map((echo) => once(echo, 'exit'));
  await server.close();
  await Promise.all(gone);
  return times;
}
