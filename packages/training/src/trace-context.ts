/** What a part hands on so that another part's spans find their place in the same trace: header-like pairs. */
export type TraceContext = Readonly<Record<string, string>>;

/** An item that may belong to a trace. */
export interface Traced {
  /** Absent unless somebody collects traces. */
  readonly trace?: TraceContext;
}

const MOST_PAIRS = 8;
const NAME = /^[a-z0-9_-]{1,64}$/;
const MOST_CHARACTERS = 512;

/** Reads a context that came from outside; undefined for anything else: a trace is never a reason to refuse work. */
export function readTraceContext(value: unknown): TraceContext | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const pairs = Object.entries(value).filter(
    (pair): pair is [string, string] =>
      NAME.test(pair[0]) && typeof pair[1] === 'string' && pair[1].length <= MOST_CHARACTERS,
  );
  return pairs.length === 0 || pairs.length > MOST_PAIRS ? undefined : Object.fromEntries(pairs);
}
