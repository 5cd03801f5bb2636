import {
  type EncodedWeights,
  type Fence,
  failpoint,
  RopeteamError,
  type RunId,
  type SessionHandler,
  type WorkerHello,
  type WorkerId,
  type WorkerMessage,
  type WorkerSession,
} from '#training';

export interface Member {
  readonly session: WorkerSession;
  readonly hello: WorkerHello;
  /** The run it said to be ready for. */
  readyFor: { readonly run: RunId; readonly fence: Fence; readonly takesLeases: boolean } | undefined;
  /** It gets no work for a while. */
  heldBack: boolean;
  /** It said that it is leaving: its end is no loss. */
  draining: string | undefined;
  /** When its last message came, on the monotonic clock. */
  heardAt: number;
  /** Another process of the same name, in whose place it is. */
  readonly replaced: WorkerHello | undefined;
}

/** Who wants to know what workers do. One at a time: the run in training. */
export interface MembershipListener {
  joined(member: Member): void;
  message(member: Member, message: WorkerMessage): void;
  gone(member: Member, reason: string, detectedInMs: number): void;
}

/** The connected workers. A worker may come or go between any two messages. */
export class Membership {
  readonly #members = new Map<WorkerId, Member>();
  readonly #kernelId: string;
  #listener: MembershipListener | undefined;

  constructor(kernelId: string) {
    this.#kernelId = kernelId;
  }

  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  listen(listener: MembershipListener | undefined): void {
    this.#listener = listener;
  }

  send(worker: WorkerId, message: Parameters<WorkerSession['send']>[0]): void {
    this.#members.get(worker)?.session.send(message);
  }

  sendWeights(worker: WorkerId, weights: EncodedWeights): void {
    this.#members.get(worker)?.session.sendWeights(weights);
  }

  /** Ends a worker's session: it is lost, and may come back as a new one. */
  dismiss(worker: WorkerId, reason: string): void {
    this.#members.get(worker)?.session.close(reason);
  }

  /** Admits a worker, or throws why not. A second one of the same name takes the place of the first. */
  admit(session: WorkerSession): SessionHandler {
    const { hello } = session;
    failpoint('worker-handshake');
    if (!hello.kernelIds.includes(this.#kernelId)) {
      const found = hello.kernelIds.join(', ');
      throw new RopeteamError(
        'WORKER.KERNEL_MISMATCH',
        { expected: this.#kernelId, found },
        `worker ${hello.worker} computes with kernel ${found}, this coordinator with ${this.#kernelId}: a run never mixes them`,
        {
          hint:
            'start the worker with the coordinator’s --kernel, from the same version of ropeteam; a kernel whose id names ' +
            'a library needs that library and that type of processor',
        },
      );
    }
    const before = this.#members.get(hello.worker);
    if (before?.replaced !== undefined && isOneProcess(before.replaced, hello)) throw replacedBy(before.hello);
    if (before !== undefined) {
      this.#remove(before, 'a new worker of the same name took its place', 0);
      before.session.close('a new worker of the same name took your place');
    }
    const member: Member = {
      session,
      hello,
      readyFor: undefined,
      heldBack: false,
      draining: undefined,
      heardAt: performance.now(),
      replaced: whomItReplaces(before, hello),
    };
    this.#members.set(hello.worker, member);
    // The handler is in the caller's hands only after this returns.
    queueMicrotask(() => {
      if (this.#members.get(hello.worker) === member) this.#listener?.joined(member);
    });
    return {
      message: (message) => {
        member.heardAt = performance.now();
        if (message.kind === 'run-ready') {
          const { run, fence, takesLeases } = message;
          member.readyFor = { run, fence, takesLeases };
        }
        if (message.kind === 'draining') member.draining = message.reason;
        if (this.#members.get(hello.worker) === member) this.#listener?.message(member, message);
      },
      closed: (reason, detectedInMs) => this.#remove(member, reason, detectedInMs),
    };
  }

  closeAll(reason: string): void {
    for (const member of this.members) member.session.close(reason);
  }

  #remove(member: Member, reason: string, detectedInMs: number): void {
    if (this.#members.get(member.hello.worker) !== member) return;
    this.#members.delete(member.hello.worker);
    this.#listener?.gone(member, reason, detectedInMs);
  }
}

/** Two that live would take the place from each other for ever: whoever had it last may not have it back. */
function whomItReplaces(before: Member | undefined, hello: WorkerHello): WorkerHello | undefined {
  return before === undefined || isOneProcess(before.hello, hello) ? before?.replaced : before.hello;
}

function isOneProcess(one: WorkerHello, other: WorkerHello): boolean {
  return one.host === other.host && one.pid === other.pid;
}

function replacedBy({ worker, host, pid }: WorkerHello): RopeteamError {
  const message = `another worker is called ${worker}: process ${pid} on ${host} has this one’s place`;
  return new RopeteamError('WORKER.REPLACED', { worker }, message, { hint: 'give every worker a --name of its own' });
}
