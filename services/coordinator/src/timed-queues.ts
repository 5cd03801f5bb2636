import type { CoordinatorMetrics, QueueCall } from '#telemetry';
import type { WorkQueues } from '#training';

/** The same queues, with the coordinator's calls to them timed and their failures counted. */
export function timeQueues(queues: WorkQueues, metrics: Pick<CoordinatorMetrics, 'queueCalled'>): WorkQueues {
  const timed = async <Result>(call: QueueCall, act: () => Promise<Result>): Promise<Result> => {
    const begunAt = performance.now();
    const told = (outcome: 'done' | 'failed') => metrics.queueCalled(call, performance.now() - begunAt, outcome);
    try {
      const result = await act();
      told('done');
      return result;
    } catch (error) {
      told('failed');
      throw error;
    }
  };
  return {
    ...queues,
    announce: (items) => timed('announce', () => queues.announce(items)),
    handBack: (itemId, token) => timed('hand_back', () => queues.handBack(itemId, token)),
    handBackOf: (worker, run, fence) => timed('hand_back', () => queues.handBackOf(worker, run, fence)),
    withdraw: (run, fence) => timed('withdraw', () => queues.withdraw(run, fence)),
    observe: () => timed('observe', () => queues.observe()),
  };
}
