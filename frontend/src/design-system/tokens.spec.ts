import { describe, expect, it } from 'vitest'
import { tokensCss } from './css'
import { dark, light, themes, type ThemeName, type ThemeToken } from './tokens'

function luminance(hex: string): number {
  const channel = (at: number): number => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

function contrast(one: string, other: string): number {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (high + 0.05) / (low + 0.05)
}

const surfaces: ThemeToken[] = ['bg', 'surface', 'sunken', 'chart-bg', 'raised', 'bar']
const texts: ThemeToken[] = ['text', 'text-2', 'text-3', 'primary-text', 'success-text', 'danger-text', 'warning-text']
const fills: [ThemeToken, ThemeToken][] = [
  ['on-primary', 'primary'],
  ['on-success', 'success'],
  ['on-danger', 'danger'],
]

it('knows the contrast of black on white', () => expect(contrast('#000000', '#FFFFFF')).toBe(21))

describe.each(Object.keys(themes) as ThemeName[])('theme %s', (name) => {
  const theme = themes[name]
  const pairs = texts.flatMap((text) => surfaces.map((surface) => [text, surface] as const))

  it.each(pairs)('%s is readable on %s', (text, surface) => {
    expect(contrast(theme[text], theme[surface])).toBeGreaterThanOrEqual(4.5)
  })
  it.each(fills)('%s is readable on the filled button of %s', (ink, fill) => {
    const colour = theme[`${fill}-fill` as ThemeToken]
    expect(contrast(theme[ink], colour.startsWith('#') ? colour : theme[fill])).toBeGreaterThanOrEqual(4.5)
  })
  it.each(surfaces)('field outlines and focus stand out on %s', (surface) => {
    expect(contrast(theme['field-line'], theme[surface])).toBeGreaterThanOrEqual(3)
    expect(contrast(theme.focus, theme[surface])).toBeGreaterThanOrEqual(3)
  })
})

it('writes the same variables for both themes', () => {
  expect(Object.keys(light).sort()).toEqual(Object.keys(dark).sort())
  const css = tokensCss()
  expect(css).toContain("--primary: #00D4FF;")
  expect(css.match(/--chart-bg:/g)).toHaveLength(2)
})
