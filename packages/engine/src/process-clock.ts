/** Milliseconds on one clock for all threads of the process, which `performance.now` is not: its zero is each thread's own. */
export const processMs = (): number => Number(process.hrtime.bigint()) / 1e6;
