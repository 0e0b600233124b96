import { describe, expect, it } from 'vitest'
import type { ParamSpec } from '@/api/strategies'
import { boundsOf, knownParams, paramsAreRight, problemOf, shownValue, typedValue } from './params'

const length: ParamSpec = { name: 'length', label: 'Longueur', type: 'int', default: 14, min: 2, max: 50, step: 1, choices: [] }
const stop: ParamSpec = { ...length, name: 'stop', type: 'float', default: 0.02, min: 0, max: 0.2, step: 0.005 }

describe('settings as fields', () => {
  it('reads French decimals and keeps what is no number as it was typed', () => {
    expect(typedValue(stop, '0,035')).toBe(0.035)
    expect(typedValue(length, '1 000')).toBe(1000)
    expect(typedValue(length, '2,5')).toBe('2,5')
    expect(shownValue(0.035)).toBe('0,035')
  })

  it('says what is wrong with a value', () => {
    expect(problemOf(length, 14)).toBeNull()
    expect(problemOf(length, '2,5')).toBe('Un nombre entier est attendu')
    expect(problemOf(length, 1)).toBe('Au moins 2')
    expect(problemOf(stop, 0.3)).toBe('Au plus 0,2')
    expect(boundsOf(stop)).toBe('0 à 0,2, pas 0,005')
  })

  it('sends only what the strategy still declares', () => {
    expect(knownParams([length], { length: 20, ancien: 3 })).toEqual({ length: 20 })
    expect(paramsAreRight([length], { length: 99 })).toBe(false)
    expect(paramsAreRight([length], { ancien: 'x' })).toBe(true)
  })
})
