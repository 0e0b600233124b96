/** The settings of `STRATEGY_PARAMS` between the fields (text, French decimals) and the API (JSON values). */
import type { ParamSpec } from '@/api/strategies'
import { formatNumber } from '@/utils/format'

export type ParamValue = string | number | boolean

const shown = (value: number | null): string => (value === null ? '…' : formatNumber(value))

/** The bounds in words: `2 à 50, pas 1`. */
export function boundsOf(spec: ParamSpec): string {
  if (spec.type === 'choice') return spec.choices.join(', ')
  if (spec.type === 'bool') return 'oui ou non'
  if (spec.min === null && spec.max === null) return 'nombre'
  return `${shown(spec.min)} à ${shown(spec.max)}${spec.step === null ? '' : `, pas ${shown(spec.step)}`}`
}

/** A value as a field shows it; a text that is no number stays as it was typed. */
export function shownValue(value: ParamValue): string {
  if (typeof value === 'boolean') return value ? 'oui' : 'non'
  return typeof value === 'number' ? String(value).replace('.', ',') : value
}

/** What was typed: a number when it is one, else the text itself (and `problemOf` says so). */
export function typedValue(spec: ParamSpec, text: string): ParamValue {
  const plain = text.replace(/[\s\u00A0\u202F]/g, '').replace(',', '.').replace('\u2212', '-')
  const isNumber = spec.type === 'int' ? /^-?\d+$/.test(plain) : /^-?\d+(\.\d+)?$/.test(plain)
  return isNumber ? Number(plain) : text
}

/** What is wrong with a value, null when nothing is. */
export function problemOf(spec: ParamSpec, value: ParamValue): string | null {
  if (spec.type === 'bool' || spec.type === 'choice') return null
  if (typeof value !== 'number') return spec.type === 'int' ? 'Un nombre entier est attendu' : 'Un nombre est attendu'
  if (spec.min !== null && value < spec.min) return `Au moins ${shown(spec.min)}`
  if (spec.max !== null && value > spec.max) return `Au plus ${shown(spec.max)}`
  return null
}

/** Whether every chosen value may be sent. */
export function paramsAreRight(specs: readonly ParamSpec[], chosen: Record<string, ParamValue>): boolean {
  return specs.every((spec) => !(spec.name in chosen) || problemOf(spec, chosen[spec.name] as ParamValue) === null)
}

/** The chosen values that the specs still know: a setting that was renamed is forgotten. */
export function knownParams(specs: readonly ParamSpec[], chosen: Record<string, ParamValue>): Record<string, ParamValue> {
  return Object.fromEntries(specs.filter((spec) => spec.name in chosen).map((spec) => [spec.name, chosen[spec.name] as ParamValue]))
}
