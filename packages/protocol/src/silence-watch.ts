/** Notices that a peer has said nothing for too long, and does not blame it for our own sleep. */

/** Time as this package needs it; tests bring their own. */
export interface Clock {
  /** Milliseconds, never going back. */
  now(): number;
  /** Calls `task` once; the result cancels it. */
  after(delayMs: number, task: () => void): () => void;
  /** Calls `task` once what the network delivered meanwhile has been read. */
  afterPoll(task: () => void): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
  afterPoll: (task) => void setImmediate(task),
};

export interface SilenceWatch {
  /** A message came. */
  heard(): void;
  stop(): void;
}

/**
 * Calls `lost` once, with the silence's length in milliseconds, when nothing was heard for `silenceMs`.
 *
 * A process that was itself stopped (SIGSTOP, a suspended machine, a long garbage collection) wakes up with its timers
 * overdue and the peer's messages unread. So a timer that fires late starts a new period, and one in time first lets
 * the event loop read what has arrived.
 */
export function watchSilence(silenceMs: number, lost: (silentMs: number) => void, clock: Clock): SilenceWatch {
  let lastHeard = clock.now();
  let stopped = false;
  let cancel: (() => void) | undefined;
  const wait = (delayMs: number) => {
    const dueAt = clock.now() + delayMs;
    cancel = clock.after(delayMs, () => {
      if (clock.now() - dueAt > silenceMs / 2) wait(silenceMs);
      else clock.afterPoll(judge);
    });
  };
  const judge = () => {
    if (stopped) return;
    const silentMs = clock.now() - lastHeard;
    if (silentMs < silenceMs) return wait(silenceMs - silentMs);
    stopped = true;
    lost(silentMs);
  };
  wait(silenceMs);
  return {
    heard: () => {
      lastHeard = clock.now();
    },
    stop: () => {
      stopped = true;
      cancel?.();
    },
  };
}
