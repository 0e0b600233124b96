import { expect, it } from 'vitest'
import type { SweepRun } from '@/api/backtests'
import { heatGrid, overfit, proofOf, ranked } from './sweeps'

const played = (number: number, params: Record<string, unknown>, score: number | null, unseen: number | null, window = 0, trades = [120, 40]): SweepRun => ({
  number, window, params, score, in_sample: { sharpe: score, trade_count: trades[0] }, out_of_sample: { sharpe: unseen, trade_count: trades[1] }, error: '',
})

it('shows in both maps the combination that ranks best where a third parameter varies', () => {
  // Two runs share (5, 20); the second ranks better though the first does better in the control.
  const runs = [played(0, { a: 5, b: 20, c: 1 }, 1, 0.9), played(1, { a: 5, b: 20, c: 2 }, 2, 0.1), played(2, { a: 10, b: 20, c: 1 }, 0.5, 0.4)]
  const grid = heatGrid(runs, ['a', 'b'], 'out_of_sample', 'sharpe')
  expect(grid.xs).toEqual([5, 10])
  expect(grid.cells.map(({ x, y, value }) => [x, y, value])).toEqual([[0, 0, 0.1], [1, 0, 0.4]])
})

it('orders numbers as numbers and leaves out what is not defined', () => {
  const grid = heatGrid([played(0, { a: 10 }, 1, 1), played(1, { a: 9 }, null, null), played(2, { a: 100 }, 1, 1)], ['a', null], 'in_sample', 'sharpe')
  expect(grid.xs).toEqual([9, 10, 100])
  expect(grid.cells).toHaveLength(2)
})

it('ranks one window, those without a score last', () => {
  const runs = [played(0, {}, null, 1), played(1, {}, 1, 1), played(2, {}, 3, 1), played(3, {}, 9, 1, 1)]
  expect(ranked(runs, 0).map((run) => run.number)).toEqual([2, 1, 0])
})

it('warns when the best setting does not hold where it was never seen', () => {
  expect(overfit(played(0, {}, 2, -0.1), 'sharpe')?.tone).toBe('bad')
  expect(overfit(played(0, {}, -1, 2), 'sharpe')?.text).toContain('perd dans la partie qui choisit')
  expect(overfit(played(0, {}, 2, 0.5), 'sharpe')?.tone).toBe('warn')
  expect(overfit(played(0, {}, 2, 1.5), 'sharpe')?.tone).toBe('ok')
  expect(overfit(played(0, {}, 2, null), 'sharpe')?.tone).toBe('warn')
})

it('gives no verdict on a handful of trades, however good they are', () => {
  const few = overfit(played(0, {}, 4, 3, 0, [2, 2]), 'sharpe')
  expect(few?.tone).toBe('neutral')
  expect(few?.text.replace(/[\u00A0\u202F]/g, ' ')).toContain('2 + 2 trades (choix + contrôle), il en faut 30 de chaque côté')
  expect(overfit(played(0, {}, 4, -3, 0, [120, 29]), 'sharpe')?.tone).toBe('neutral')
  expect(overfit(played(0, {}, 4, 3, 0, [30, 30]), 'sharpe')?.tone).toBe('ok')
})

it('says what is proved of the best setting, and nothing before the end', () => {
  const done = (verdict: 'ok' | 'biased' | 'unproven') => ({
    windows: 1,
    results: { windows: [{ window: 0, in_sample: [0, 1], out_of_sample: [1, 2], best: 3, params: { a: 5 }, out_of_sample_return: 0.1, verdict }], out_of_sample_return: 0.1, failed_runs: 0, proof: null },
  })
  expect(proofOf({ windows: 1, results: null }, 0)).toBeNull()
  expect((['ok', 'biased', 'unproven'] as const).map((verdict) => proofOf(done(verdict), 0)?.tone)).toEqual(['ok', 'bad', 'warn'])
})
