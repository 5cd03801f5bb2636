/** Refuses a call while another runs: arguments, results and weights are shared memory, and a second call would tear them. */
export interface OneAtATime {
  readonly busy: boolean;
  /** @throws Error when a call is running already */
  run<Result>(work: () => Promise<Result>): Promise<Result>;
}

export function oneAtATime(): OneAtATime {
  let busy = false;
  return {
    get busy() {
      return busy;
    },
    async run(work) {
      if (busy) throw new Error('calls of an engine do not overlap: await one before the next');
      busy = true;
      try {
        return await work();
      } finally {
        busy = false;
      }
    },
  };
}
