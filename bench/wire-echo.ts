/** The worker of `wire-floor.ts`: sends every weight version back as a gradient, and does nothing else. */
import { collectFrameGarbageAtOnce, connectCoordinator } from '#protocol';
import { PROTOCOL_VERSION, step, workerId } from '#training';

const [, , address = '', name = ''] = process.argv;
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
      const gradient = new Float32Array(totalBytes / 4);
      session.sendGradient({ run, fence, step: step(version), block: { begin: 0, end: 1 } }, gradient).catch(fail);
    },
    closed: () => process.exit(0),
  },
});

function fail(error: unknown): never {
  throw error;
}
