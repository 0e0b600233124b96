/** Ratios of the server (`0.0010`) as the percentages that people type (`0,1`), digits moved and nothing computed. */
import { readAmount, toField } from './amounts'

const plain = (whole: string, fraction: string): string => {
  const digits = whole.replace(/^0+(?=\d)/, '') || '0'
  const kept = fraction.replace(/0+$/, '')
  return kept ? `${digits}.${kept}` : digits
}

/** `0.0005` as one would type it: `0,05`. */
export function ratioToField(ratio: string | null | undefined): string {
  if (!ratio) return ''
  const [whole = '0', fraction = ''] = ratio.split('.')
  const padded = fraction.padEnd(2, '0')
  return toField(plain(whole + padded.slice(0, 2), padded.slice(2)))
}

/** What was typed as a percentage, as a ratio; null for what is no figure. */
export function fieldToRatio(text: string): string | null {
  const { value } = readAmount(text)
  if (value === null) return null
  const [whole = '0', fraction = ''] = value.split('.')
  const padded = whole.padStart(3, '0')
  return plain(padded.slice(0, -2), padded.slice(-2) + fraction)
}
