/** What is typed in the ticket's fields, and what is exact about it. The server computes; here digits are moved only. */
import { formatNumber } from './format'

export interface Typed {
  /** A plain decimal string, or null when nothing usable is typed. */
  value: string | null
  error: string | null
}

const DIGITS = 18
const NOTHING: Typed = { value: null, error: null }

/** Reads a field as it is being typed the French way: `1 000,50`, `,5` and `12,` are amounts. */
export function readAmount(text: string): Typed {
  const plain = text.replace(/[\s\u00A0\u202F]/g, '').replace(',', '.')
  if (plain === '') return NOTHING
  const match = /^(\d*)(?:\.(\d*))?$/.exec(plain)
  if (!match || (match[1] === '' && !match[2])) return { value: null, error: `« ${text.trim()} » n’est pas un nombre positif.` }
  if ((match[2] ?? '').length > DIGITS) return { value: null, error: `${DIGITS} décimales au plus.` }
  const whole = match[1].replace(/^0+(?=\d)/, '') || '0'
  return { value: match[2] ? `${whole}.${match[2]}` : whole, error: null }
}

/** A decimal string as one would type it: comma, no thousands, no useless zeros. */
export function toField(value: string | null | undefined): string {
  if (!value) return ''
  return formatNumber(value).replace(/[\u202F\u00A0]/g, '').replace('—', '')
}

/** How many decimals a step such as `0.01000000` leaves; `fallback` without a step. */
export function digitsOf(step: string | null | undefined, fallback: number): number {
  if (!step) return fallback
  return step.includes('.') ? step.split('.')[1].replace(/0+$/, '').length : 0
}

/** The price of a place on a chart, on the grid of the market's ticks. */
export function onTick(price: number, tick: string | null | undefined): string {
  const digits = Math.min(digitsOf(tick, 8), 12)
  if (!tick) return price.toFixed(digits)
  const scale = 10n ** BigInt(digits)
  const step = BigInt(Math.round(Number(tick) * Number(scale))) || 1n
  const units = BigInt(Math.round(price * Number(scale)))
  const snapped = ((units + step / 2n) / step) * step
  const text = snapped.toString().padStart(digits + 1, '0')
  return digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text
}
