import { expect, it } from 'vitest'
import { depthRows, spreadOf, walk } from './book'

it('adds the quantities exactly, best level first', () => {
  const rows = depthRows([['100', '0.1'], ['99', '0.2'], ['98', '0.000000000000000001']])
  expect(rows.map((row) => row.total)).toEqual(['0.1', '0.3', '0.300000000000000001'])
  expect(rows.map((row) => row.share)).toEqual([33, 100, 100])
})

it('keeps twenty levels', () => {
  expect(depthRows(Array.from({ length: 50 }, (_, at) => [String(100 - at), '1'] as [string, string]))).toHaveLength(20)
})

it('measures the spread without floats, and says nothing of an empty side', () => {
  expect(spreadOf([['0.00000122', '1']], [['0.00000123', '1']])).toBe('0.00000001')
  expect(spreadOf([], [['1', '1']])).toBeNull()
})

it('walks the levels that a market order takes', () => {
  const asks: [string, string][] = [['100', '1'], ['101', '2'], ['110', '5']]
  expect(walk(asks, 0.5)).toEqual({ average: 100, worst: 100, covered: 0.5 })
  expect(walk(asks, 4)).toEqual({ average: (100 + 202 + 110) / 4, worst: 110, covered: 4 })
  expect(walk(asks, 9)).toEqual({ average: (100 + 202 + 550) / 8, worst: 110, covered: 8 }) // one is not on offer
  expect(walk([], 1)).toBeNull()
})
