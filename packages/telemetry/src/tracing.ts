/**
 * Spans, through OpenTelemetry's API and nothing else: nobody hears of them, and they cost next to nothing, unless the user
 * loads an SDK (docs/logs-and-traces.md).
 */
import { isSpanContextValid, propagation, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import type { TraceContext } from '#training';

/** Every span there is. */
export const SPAN_NAMES = [
  'run',
  'step',
  'lease',
  'average',
  'checkpoint',
  'join',
  'admit',
  'compute',
  'upload',
] as const;
export type SpanName = (typeof SPAN_NAMES)[number];

export type SpanFacts = Readonly<Record<string, string | number>>;

export interface Span {
  /** For spans below this one, here or in another process; undefined when nobody listens. */
  readonly context: TraceContext | undefined;
  /** @param error why what the span is about did not come to its end */
  end(error?: unknown): void;
}

/** Passes calls on to the SDK, if one has been loaded by the time of the call. */
const tracer = trace.getTracer('ropeteam');

const nobodyListens: Span = { context: undefined, end: () => undefined };

/** @param parent of another span; absent: a trace of its own begins */
export function startSpan(name: SpanName, facts: SpanFacts, parent?: TraceContext): Span {
  const from = parent === undefined ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, parent);
  const span = tracer.startSpan(name, { attributes: facts }, from);
  if (!isSpanContextValid(span.spanContext())) return nobodyListens;
  const context: Record<string, string> = {};
  propagation.inject(trace.setSpan(ROOT_CONTEXT, span), context);
  return {
    context,
    end: (error) => {
      if (error !== undefined) {
        const message = error instanceof Error ? error.message : String(error);
        span.setStatus({ code: SpanStatusCode.ERROR, message });
      }
      span.end();
    },
  };
}

/** The value of `work`, in a span as long as it takes. */
export async function inSpan<Value>(
  name: SpanName,
  facts: SpanFacts,
  parent: TraceContext | undefined,
  work: () => Promise<Value>,
): Promise<Value> {
  const span = startSpan(name, facts, parent);
  try {
    const value = await work();
    span.end();
    return value;
  } catch (error) {
    span.end(error);
    throw error;
  }
}
