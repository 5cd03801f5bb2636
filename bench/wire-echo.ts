/** The worker of `wire-floor.ts`: answers every weight version with a gradient, and does nothing else. */
import { collectFrameGarbageAtOnce, connectCoordinator } from '#protocol';
import { PROTOCOL_VERSION, step, workerId } from '#training';

const [, , address = '', name = '', gradientBytes = ''] = process.argv;
/** A receipt's other fields. */
const NOTHING = {
  worker: workerId(name),
  attempt: 1,
  ...{ sampleCount: 1, lossSum: 0, correctCount: 0, squaredErrorSum: 0, targetSum: 0, targetSquareSum: 0 },
  ...{ gradientHash: '0'.repeat(16), computeMs: 0, waitedMs: 0 },
};
const ended = new AbortController();
collectFrameGarbageAtOnce();

const session = await connectCoordinator({
  address,
  hello: {
    worker: workerId(name),
    pid: process.pid,
    protocolVersion: PROTOCOL_VERSION,
    host: 'here',
    threads: 1,
    kernelIds: ['none'],
  },
  signal: ended.signal,
  handler: {
    message: (message) => {
      if (message.kind !== 'weights-frame') return;
      const { run, fence, version, offset, totalBytes, payload } = message.frame;
      if (offset + payload.length < totalBytes) return;
      const gradient = new Uint8Array(Number(gradientBytes));
      const receipt = { run, fence, step: step(version), block: { begin: 0, end: 1 }, ...NOTHING };
      session.sendGradient({ itemId: '', receipt }, gradient).catch(fail);
    },
    closed: () => process.exit(0),
  },
});

function fail(error: unknown): never {
  throw error;
}
