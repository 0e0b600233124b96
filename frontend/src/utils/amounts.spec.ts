import { expect, it } from 'vitest'
import { digitsOf, onTick, readAmount, toField } from './amounts'

it.each([
  ['1 000,50', '1000.50'],
  ['12,', '12'],
  [',5', '0.5'],
  ['0,00000123', '0.00000123'],
  ['007', '7'],
  ['0,000000000000000001', '0.000000000000000001'],
])('reads « %s » as %s', (text, value) => expect(readAmount(text)).toEqual({ value, error: null }))

it.each(['abc', '1e5', '-3', '1,2,3', ',', 'NaN'])('says that « %s » is no number', (text) => {
  expect(readAmount(text)).toEqual({ value: null, error: `« ${text} » n’est pas un nombre positif.` })
})

it('has nothing to say about an empty field', () => expect(readAmount('  ')).toEqual({ value: null, error: null }))
it('refuses more decimals than the tables hold', () => expect(readAmount(`0,${'1'.repeat(19)}`).error).toBe('18 décimales au plus.'))

it('writes an amount as one would type it', () => {
  expect(toField('93850.5000')).toBe('93850,5')
  expect(toField('0.00000123')).toBe('0,00000123')
  expect(toField(null)).toBe('')
})

it('puts a dragged price on the market’s ticks', () => {
  expect(onTick(93850.123, '0.01')).toBe('93850.12')
  expect(onTick(93850.3, '0.25')).toBe('93850.25')
  expect(onTick(0.000001234, '0.00000001')).toBe('0.00000123')
  expect(onTick(1234.6, '1')).toBe('1235')
  expect(digitsOf('0.01000000', 8)).toBe(2)
})
