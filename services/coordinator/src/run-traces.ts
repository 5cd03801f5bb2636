/** The spans of one run: a step begins when it is announced and ends when it is committed, what is done for it below it. */
import { inSpan, type Span, startSpan } from '#telemetry';
import type { RunId, WorkItem } from '#training';

export class RunTraces {
  readonly #facts: { readonly run: RunId };
  readonly #run: Span;
  /** Of steps, and of leases by their first step, that are announced and not yet committed. */
  readonly #open = new Map<number, Span>();

  constructor(run: RunId) {
    this.#facts = { run };
    this.#run = startSpan('run', this.#facts);
  }

  /** The same items, with what their takers need to put their spans below these. */
  announced(items: readonly WorkItem[]): readonly WorkItem[] {
    if (this.#run.context === undefined) return items;
    return items.map((item) => {
      const span = item.kind === 'evaluation' ? this.#run : this.#spanOf(item);
      return span.context === undefined ? item : { ...item, trace: span.context };
    });
  }

  /** @param step or the first one of a lease */
  committed(step: number): void {
    this.#open.get(step)?.end();
    this.#open.delete(step);
  }

  averaging<Value>(step: number, work: () => Promise<Value>): Promise<Value> {
    return inSpan('average', { ...this.#facts, step }, this.#open.get(step)?.context ?? this.#run.context, work);
  }

  checkpointing<Value>(step: number, work: () => Promise<Value>): Promise<Value> {
    return inSpan('checkpoint', { ...this.#facts, step }, this.#run.context, work);
  }

  /** Steps that were announced and never came to their end are told as that. */
  ended(): void {
    for (const span of this.#open.values()) span.end('the run ended before this step');
    this.#open.clear();
    this.#run.end();
  }

  #spanOf({ kind, step }: Exclude<WorkItem, { kind: 'evaluation' }>): Span {
    const there = this.#open.get(step);
    if (there !== undefined) return there;
    const span = startSpan(kind === 'lease' ? 'lease' : 'step', { ...this.#facts, step }, this.#run.context);
    this.#open.set(step, span);
    return span;
  }
}
