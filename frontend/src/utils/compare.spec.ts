import { expect, it } from 'vitest'
import type { MetricKey } from '@/api/backtests'
import { metrics, run } from '@/testing/samples'
import { bestOf, difference, divergences, legend } from './compare'
import { metricSpec } from './metrics'

const day = (iso: string) => iso.slice(2, 10).replaceAll('-', '.')

it('subtracts exact amounts without rounding, and ratios too', () => {
  expect(difference('4862.31000000', '3107.11')).toBe('-1755.20000000')
  expect(difference('-50.71', '-40')).toBe('10.71')
  expect(Number(difference(0.3, 0.1))).toBeCloseTo(-0.2)
})

it('finds the better run by the sense of each figure, none when they are equal or not defined', () => {
  const runs = [run({ metrics: metrics({ sharpe: 1, max_drawdown: 0.1 }) }), run({ metrics: metrics({ sharpe: 2, max_drawdown: 0.3, sqn: 2 }) })]
  const best = (key: MetricKey) => bestOf(metricSpec(key)!, runs)
  expect(best('sharpe')).toBe(1)
  expect(best('max_drawdown'), 'a smaller fall is better').toBe(0)
  expect(best('sqn')).toBeNull()
  expect(bestOf(metricSpec('sharpe')!, [runs[0]!, runs[0]!])).toBeNull()
})

it('lists what two runs do not share: their market and their rules', () => {
  const other = run({ timeframe: '15m', assumptions: [{ name: 'Frais taker', value: '0,05 %' }, { name: 'Fenêtre', value: '300 bougies' }] })
  expect(divergences([run(), other], day)).toEqual([
    { label: 'Unité de temps', values: ['1h', '15m'] },
    { label: 'Frais taker', values: ['0,1 %', '0,05 %'] },
    { label: 'Fenêtre', values: ['—', '300 bougies'] },
  ])
  expect(divergences([run(), run({ id: 2, strategy_version: 6 })], day)).toEqual([])
})

it('writes dates as the page does, and tells other candles of the same market and dates', () => {
  const [begun, started] = [run(), run({ id: 2, start_date: '2026-01-01T00:00:00Z' })]
  expect(divergences([begun, started], day).map(({ label, values }) => [label, values[1]])).toEqual([['Début', '26.01.01']])
  const hashes = { ...begun.hashes!, candles: 'abcdef123' }
  expect(divergences([begun, run({ id: 2, hashes })], day)).toEqual([{ label: 'Bougies lues', values: [`lot ${begun.hashes!.candles.slice(0, 6)}`, 'lot abcdef'] }])
})

it('tells runs apart by number, version and settings', () => {
  expect(legend(run({ id: 8, params: { rapide: 12, filtre: true } }))).toBe('#8 Croisement EMA 10/20 v7 · rapide 12, filtre oui')
})
