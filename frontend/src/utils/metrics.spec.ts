import { expect, it } from 'vitest'
import type { MetricKey } from '@/api/backtests'
import { metricSpec, metricText, metricTone } from './metrics'

const text = (key: MetricKey, value: string | number | null) => metricText(metricSpec(key)!, value, 'USDT').replace(/[\u00A0\u202F]/g, ' ')

it('writes n/a for what is not defined, never zero', () => {
  for (const key of ['sharpe', 'cagr', 'average_win', 'max_drawdown_duration_ms'] as const) expect(text(key, null), key).toBe('n/a')
  expect(metricText(metricSpec('calmar')!, Number.NaN, 'USDT')).toBe('n/a')
  expect(text('net_profit', '0')).toBe('0,00')
})

it('writes each figure in its own way', () => {
  expect(text('net_profit', '4862.31')).toBe('+4 862,31')
  expect(text('max_drawdown', 0.1284)).toBe('−12,84 %')
  expect(text('max_drawdown', 0)).toBe('0,00 %')
  expect(text('win_rate', 0.4218)).toBe('42,2 %')
  expect(text('sharpe', 1.3)).toBe('1,30')
  expect(metricText({ ...metricSpec('sharpe')!, signed: true }, 0.2, 'USDT'), 'a difference bears its sign').toBe('+0,20')
  expect(text('cagr', -1.2e-7)).toBe('0,00 %')
})

it('colours a fall as a loss though its number is positive', () => {
  expect(metricTone(metricSpec('max_drawdown')!, 0.1)).toBe('down')
  expect(metricTone(metricSpec('average_loss')!, '-50')).toBe('down')
  expect(metricTone(metricSpec('sharpe')!, 2)).toBe('')
})
