import { createPinia, setActivePinia } from 'pinia'
import { shallowMount } from '@vue/test-utils'
import { beforeEach, expect, it } from 'vitest'
import type { Sweep, SweepRun } from '@/api/backtests'
import UiButton from '@/components/ui/UiButton.vue'
import { useSweeps } from '@/stores/sweeps'
import SweepPanel from './SweepPanel.vue'

beforeEach(() => setActivePinia(createPinia()))

const sweep = {
  id: 7, strategy: 1, strategy_name: 'Croisement', symbol: 'BTC/USDT', timeframe: '15m', start_date: '2026-01-01T00:00:00Z', end_date: '2026-02-01T00:00:00Z',
  status: 'running', phase_progress: 0.15, error: '', params: {}, sampler: 'grid', space: { court: [5, 10] }, objective: 'sharpe', windows: 1, total_runs: 64, done_runs: 1, results: null, quote_currency: 'USDT',
} as unknown as Sweep
const played = (number: number, trades: [number, number]): SweepRun => ({
  number, window: 0, params: { court: number }, score: 100 - number, error: '',
  in_sample: { sharpe: 1, trade_count: trades[0] }, out_of_sample: { sharpe: 1, trade_count: trades[1] },
})

function show(runs: SweepRun[]) {
  const sweeps = useSweeps()
  sweeps.runs = runs
  sweeps.runsOf = sweep.id
  return shallowMount(SweepPanel, { props: { sweep } })
}

it('counts the trials that it lists', () => {
  const panel = show(Array.from({ length: 9 }, (_, number) => played(number, [40, 40])))
  expect(panel.find('header').text()).toMatch(/9 sur 64\sessais/)
  expect(panel.getComponent(UiButton).props('variant')).toBe('primary')
  expect(panel.find('.doubt').text()).toBe('')
})

it('does not urge to backtest a best one of too few trades, and says why', () => {
  const panel = show([played(0, [1, 0]), played(1, [40, 40])])
  expect(panel.getComponent(UiButton).props('variant')).toBe('plain')
  expect(panel.find('.doubt').text()).toBe('trop peu de trades pour juger : 1 + 0')
})
