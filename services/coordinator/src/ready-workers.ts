import type { WorkerMessage } from '#training';
import type { Member, MembershipListener } from './membership.js';
import type { PreparedRun } from './prepare-run.js';
import type { RunContext } from './run-context.js';
import type { RunTrainer } from './train-run.js';

/** How long connected workers may take to open a run before it starts without them; they join when they are ready. */
const READY_GRACE_MS = 3_000;

/** Gives connected workers the run's plan and tells the trainer who is ready, who sends what and who is gone. */
export class ReadyWorkers implements MembershipListener {
  readonly #context: RunContext;
  readonly #prepared: PreparedRun;
  readonly #trainer: RunTrainer;
  readonly #changed = new EventTarget();
  #started = false;

  constructor(context: RunContext, prepared: PreparedRun, trainer: RunTrainer) {
    this.#context = context;
    this.#prepared = prepared;
    this.#trainer = trainer;
  }

  get members(): readonly Member[] {
    const { run, fence } = this.#prepared.shape;
    const { members } = this.#context.membership;
    return members.filter(({ readyFor }) => readyFor?.run === run && readyFor.fence === fence);
  }

  /** Waits for a first ready worker, and for the others that are connected as long as the grace lasts. */
  async gather(ended: AbortSignal, waiting: (what: string | undefined) => void): Promise<void> {
    for (const member of this.#context.membership.members) this.joined(member);
    const grace = AbortSignal.timeout(READY_GRACE_MS);
    const enough = (): boolean => {
      const connected = this.#context.membership.members.length;
      return this.members.length > 0 && (grace.aborted || this.members.length === connected);
    };
    while (!ended.aborted && !enough()) {
      waiting(this.#context.membership.members.length === 0 ? 'a first worker' : 'workers to open the run');
      await changeOf(this.#changed, [ended, grace]);
    }
    waiting(undefined);
    this.#started = true;
  }

  tellJoined({ hello: { worker, pid, threads } }: Member): void {
    this.#context.events.append({ event: 'worker_joined', worker, pid, threads });
  }

  /** One that is shut out gets no plan yet, and so takes nothing: `admitHeldBack` looks again. */
  joined(member: Member): void {
    member.heldBack = this.#trainer.quarantine.holds(member.hello.worker);
    if (!member.heldBack) this.#sendPlan(member);
  }

  /** Called every few milliseconds: gives those their plan whose time is over. */
  admitHeldBack(): void {
    for (const member of this.#context.membership.members) if (member.heldBack) this.joined(member);
  }

  #sendPlan(member: Member): void {
    member.session.send({ kind: 'run-started', plan: this.#prepared.plan });
  }

  message(member: Member, message: WorkerMessage): void {
    if (message.kind !== 'run-ready') {
      this.#trainer.receive(member, message);
      return;
    }
    if (this.#started) {
      this.tellJoined(member);
      this.#trainer.joined(member);
    }
    this.#changed.dispatchEvent(new Event('changed'));
  }

  gone(member: Member, reason: string, detectedInMs: number): void {
    if (this.#started && member.readyFor !== undefined) this.#trainer.lost(member, reason, detectedInMs);
    this.#changed.dispatchEvent(new Event('changed'));
  }
}

function changeOf(target: EventTarget, signals: readonly AbortSignal[]): Promise<void> {
  const pending = signals.filter((signal) => !signal.aborted);
  return new Promise((resolve) => {
    const done = (): void => {
      target.removeEventListener('changed', done);
      for (const signal of pending) signal.removeEventListener('abort', done);
      resolve();
    };
    target.addEventListener('changed', done);
    for (const signal of pending) signal.addEventListener('abort', done);
  });
}
