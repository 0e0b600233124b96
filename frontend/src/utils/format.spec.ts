import { describe, expect, it } from 'vitest'
import { commonDigits, formatMoney, formatNumber, formatRatio, parseDecimal, plural, signOf, sumDecimals, toneOf, typographic } from './format'

describe('formatNumber', () => {
  it.each([
    ['94218.4', { digits: 2 }, '94\u202F218,40'],
    ['1248.9', { digits: 2, sign: true, unit: 'USDT' }, '+1\u202F248,90\u00A0USDT'],
    ['-0.004', { digits: 2, sign: true }, '0,00'],
    ['-3.515', { digits: 2 }, '\u22123,52'],
    ['999.995', { digits: 2 }, '1\u202F000,00'],
    ['0.99999', { digits: 0 }, '1'],
    ['0.06000000', {}, '0,06'],
    ['94218.40000000', { minDigits: 2 }, '94\u202F218,40'],
    ['0.00000008', {}, '0,00000008'],
    ['1E-8', {}, '0,00000008'.replace('8', '1')],
    ['1.25E+3', {}, '1\u202F250'],
    ['123456789012345678901234.5', { digits: 1 }, '123\u202F456\u202F789\u202F012\u202F345\u202F678\u202F901\u202F234,5'],
    [null, {}, '—'],
    ['', {}, '—'],
    ['NaN', {}, '—'],
    [0, { digits: 2, sign: true }, '0,00'],
  ])('%s with %o gives %s', (value, format, expected) => {
    expect(formatNumber(value, format)).toBe(expected)
  })
})

describe('formatRatio', () => {
  it.each([
    ['0.0642', '+6,42\u00A0%'],
    ['-0.0074', '\u22120,74\u00A0%'],
    ['1.5', '+150,00\u00A0%'],
    ['0', '0,00\u00A0%'],
    [null, '—'],
  ])('%s gives %s', (value, expected) => expect(formatRatio(value)).toBe(expected))
})

it('reads the sign without arithmetic', () => {
  expect([signOf('-0.00'), signOf('-0.01'), signOf('12'), signOf(null)]).toEqual([0, -1, 1, 0])
  expect([toneOf('-1'), toneOf('0.0'), toneOf('1')]).toEqual(['down', '', 'up'])
})

it('writes zero and one in the singular', () => {
  expect([plural(0, 'trou'), plural(1, 'trou'), plural(2, 'trou')]).toEqual(['0\u00A0trou', '1\u00A0trou', '2\u00A0trous'])
})

it('adds money exactly', () => {
  expect(sumDecimals(['0.1', '0.2', null, '-1000000000000000000000.3'])).toBe('-1000000000000000000000.0')
  expect(sumDecimals([])).toBe('0')
})

it('reads figures typed the French way', () => {
  expect([parseDecimal('1 000,50'), parseDecimal('12.5'), parseDecimal('-3'), parseDecimal('douze'), parseDecimal('')]).toEqual([
    '1000.50', '12.5', null, null, null,
  ])
})

it('finds the decimals a column needs', () => {
  expect(commonDigits(['0.00153440', '0.0015'])).toBe(7)
  expect(commonDigits(['94218.4', null])).toBe(2)
})

it('gives coins the decimals that cents do not need', () => {
  expect(formatMoney('0.00031', 'ETH', { sign: true })).toBe('+0,000310')
  expect(formatMoney('12.345', 'USDT', { unit: 'USDT' })).toBe('12,35\u00A0USDT')
})

it('curves the apostrophes of a sentence and leaves quotes around code straight', () => {
  expect(typographic("aucun signal d'achat sur l'« EMA »")).toBe('aucun signal d’achat sur l’« EMA »')
  expect(typographic("KeyError: 'close'")).toBe("KeyError: 'close'")
})
