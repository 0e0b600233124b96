import { expect, it } from 'vitest'
import { barShares, percent, strategyName, tradeOrigin } from './stats'

it('names what has no strategy any more', () => {
  expect(strategyName({ source: 'strategy', name: '' })).toBe('Stratégie supprimée')
  expect(strategyName({ source: 'manual', name: '' })).toBe('Manuel')
  expect(tradeOrigin({ source: 'external', label: '' })).toBe('Hors Aristobot')
  expect(tradeOrigin({ source: 'strategy', label: 'RSI' })).toBe('RSI')
})

it('leaves an undefined ratio undefined', () => {
  expect(percent(null)).toBeNull()
  expect(percent('0.47777778')).toBe('47.8')
})

it('measures bars against the longest, losses too', () => {
  expect(barShares(['10', '-20', '0'])).toEqual([50, 100, 0])
  expect(barShares(['0'])).toEqual([0])
  expect(barShares([])).toEqual([])
})
