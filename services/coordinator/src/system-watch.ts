/** The coordinator's own process and what it leans on, looked at now and then, for the page. */
import { statfs } from 'node:fs/promises';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Logger } from '#telemetry';
import type { QueueObservation } from '#training';
import type { SystemFigures } from '../page/messages.js';

const LOOK_MS = 2_000;
const MS_IN_NS = 1e6;
/** How finely delays of the event loop are seen. */
const RESOLUTION_MS = 20;

export interface SystemWatch {
  readonly figures: SystemFigures | undefined;
  /** What the queues said of themselves; undefined: they did not answer. */
  queuesSeen(figures: QueueObservation | undefined): void;
  end(): void;
}

export function watchSystem(runsDirectory: string, log: Pick<Logger, 'warn'>): SystemWatch {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  let utilisation = performance.eventLoopUtilization();
  let queues: QueueObservation | undefined;
  let disk: SystemFigures['disk'];
  let diskFailed = false;
  let figures: SystemFigures | undefined;
  const look = async (): Promise<void> => {
    try {
      const { bavail, blocks, bsize } = await statfs(runsDirectory);
      disk = { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
      diskFailed = false;
    } catch (error) {
      disk = undefined;
      // Once, not every two seconds.
      if (!diskFailed) log.warn('disk_not_seen', { message: error instanceof Error ? error.message : String(error) });
      diskFailed = true;
    }
    const { utilization } = performance.eventLoopUtilization(utilisation);
    utilisation = performance.eventLoopUtilization();
    const p99Ms = Math.max(0, delays.percentile(99) / MS_IN_NS - RESOLUTION_MS);
    delays.reset();
    figures = {
      redis: redisOf(queues),
      ...(queues === undefined ? {} : { queue: { waiting: queues.waiting, active: queues.active } }),
      eventLoop: { p99Ms: Math.round(p99Ms * 10) / 10, busy: Math.round(utilization * 1000) / 1000 },
      memoryBytes: process.memoryUsage.rss(),
      ...(disk === undefined ? {} : { disk }),
    };
  };
  const looks = setInterval(() => void look(), LOOK_MS);
  return {
    get figures() {
      return figures;
    },
    queuesSeen: (seen) => {
      queues = seen;
    },
    end: () => {
      clearInterval(looks);
      delays.disable();
    },
  };
}

function redisOf(queues: QueueObservation | undefined): SystemFigures['redis'] {
  if (queues === undefined) return { answers: false };
  const { latencyMs, usedBytes, limitBytes, evictionPolicy, clients } = queues.redis;
  return {
    answers: true,
    latencyMs: Math.round(latencyMs * 100) / 100,
    ...(usedBytes === undefined ? {} : { usedBytes }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(evictionPolicy === undefined ? {} : { evictionPolicy }),
    ...(clients === undefined ? {} : { clients }),
  };
}
