/**
 * French figures from decimal strings.
 *
 * Money and quantities arrive as strings and are never turned into floats: rounding works on the
 * digits. Thousands are parted by a narrow no-break space, the minus is the real one.
 */
const NARROW = '\u202F'
const NBSP = '\u00A0'
export const MINUS = '\u2212'
export const ABSENT = '—'

export interface NumberFormat {
  /** Exactly this many decimals, rounded half away from zero. */
  digits?: number
  /** At least this many decimals when `digits` is not given (trailing zeros beyond are dropped). */
  minDigits?: number
  /** Writes `+` before a positive value. */
  sign?: boolean
  unit?: string
}

export type Numeric = string | number | null | undefined

interface Parts {
  negative: boolean
  whole: string
  fraction: string
}

function expand(text: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?e([+-]?\d+)$/i.exec(text)
  if (!match) return text
  const [, sign, whole, fraction = '', exponent] = match
  const digits = whole + fraction
  const point = whole.length + Number(exponent)
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  if (point >= digits.length) return sign + digits.padEnd(point, '0')
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}

function parse(value: Numeric): Parts | null {
  if (value === null || value === undefined || value === '') return null
  const match = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(expand(String(value).trim()))
  if (!match) return null
  return { negative: match[1] === '-', whole: match[2], fraction: match[3] ?? '' }
}

function round({ negative, whole, fraction }: Parts, digits: number): Parts {
  const kept = (whole + fraction.slice(0, digits).padEnd(digits, '0')).replace(/^0+(?=\d)/, '')
  const up = fraction.length > digits && fraction[digits] >= '5'
  const all = (BigInt(kept) + (up ? 1n : 0n)).toString().padStart(digits + 1, '0')
  const cut = all.length - digits
  return { negative, whole: all.slice(0, cut), fraction: all.slice(cut) }
}

function trim(parts: Parts, minDigits: number): Parts {
  const fraction = parts.fraction.replace(/0+$/, '').padEnd(minDigits, '0')
  return { ...parts, whole: parts.whole.replace(/^0+(?=\d)/, ''), fraction }
}

/**
 * Formats a figure the French way.
 *
 * Args: a decimal string (or a number for what is not money), and how to show it.
 * Returns: for example `+1 248,90 USDT`; an em dash when there is no value.
 */
export function formatNumber(value: Numeric, format: NumberFormat = {}): string {
  const raw = parse(value)
  if (!raw) return ABSENT
  const parts = format.digits === undefined ? trim(raw, format.minDigits ?? 0) : round(raw, format.digits)
  const whole = parts.whole.replace(/\B(?=(\d{3})+$)/g, NARROW)
  const zero = !/[1-9]/.test(parts.whole + parts.fraction)
  const sign = zero ? '' : parts.negative ? MINUS : format.sign ? '+' : ''
  const body = sign + whole + (parts.fraction ? `,${parts.fraction}` : '')
  return format.unit ? body + NBSP + format.unit : body
}

/** Formats a ratio (`0.0642`) as a signed percentage with two decimals. */
export function formatRatio(value: Numeric, digits = 2): string {
  const raw = parse(value)
  if (!raw) return ABSENT
  const shifted = raw.fraction.padEnd(2, '0')
  const percent = `${raw.negative ? '-' : ''}${raw.whole}${shifted.slice(0, 2)}.${shifted.slice(2)}`
  return formatNumber(percent.replace(/\.$/, ''), { digits, sign: true, unit: '%' })
}

/** The sign of a decimal string, without arithmetic: 1, -1 or 0 (also when absent). */
export function signOf(value: Numeric): -1 | 0 | 1 {
  const raw = parse(value)
  if (!raw || !/[1-9]/.test(raw.whole + raw.fraction)) return 0
  return raw.negative ? -1 : 1
}

/** The class that colours a gain or a loss; the sign itself is always written too. */
export function toneOf(value: Numeric): 'up' | 'down' | '' {
  return ({ '1': 'up', '-1': 'down', '0': '' } as const)[`${signOf(value)}` as '1' | '-1' | '0']
}

/** French plural: `plural(2, 'bot', 'bots')` gives `2 bots`. Zero and one are singular. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count)}${NBSP}${Math.abs(count) < 2 ? one : many}`
}

/** The server's sentence as it is shown: a French apostrophe between letters; quotes around code stay straight. */
export function typographic(sentence: string): string {
  return sentence.replace(/(?<=\p{L})'(?=[\p{L}«])/gu, '’')
}

/** The most decimals any of these figures needs, within bounds, so that a column lines up. */
export function commonDigits(values: Numeric[], min = 2, max = 8): number {
  const needed = values.map((value) => parse(value)?.fraction.replace(/0+$/, '').length ?? 0)
  return Math.min(max, Math.max(min, ...needed))
}

/** Reads a figure typed the French way (`1 000,50`). Returns a plain decimal string, or null. */
export function parseDecimal(text: string): string | null {
  const plain = text.replace(/[\s\u00A0\u202F]/g, '').replace(',', '.')
  return /^\d+(\.\d+)?$/.test(plain) ? plain : null
}

/** Exact sum of decimal strings (absent ones count for nothing), as a decimal string. */
export function sumDecimals(values: Numeric[]): string {
  const all = values.map(parse).filter((parts) => parts !== null)
  const scale = Math.max(0, ...all.map((parts) => parts.fraction.length))
  const total = all.reduce((sum, { negative, whole, fraction }) => {
    const units = BigInt(whole + fraction.padEnd(scale, '0'))
    return negative ? sum - units : sum + units
  }, 0n)
  const digits = (total < 0n ? -total : total).toString().padStart(scale + 1, '0')
  const cut = digits.length - scale
  return `${total < 0n ? '-' : ''}${digits.slice(0, cut)}${scale ? `.${digits.slice(cut)}` : ''}`
}

const CENTS = new Set(['USDT', 'USDC', 'FDUSD', 'TUSD', 'BUSD', 'DAI', 'USD', 'EUR', 'GBP'])

/** An amount of money: two decimals for what counts in cents, six for coins, always with its sign on request. */
export function formatMoney(value: Numeric, currency: string, format: Pick<NumberFormat, 'sign' | 'unit'> = {}): string {
  return formatNumber(value, { ...format, digits: CENTS.has(currency) ? 2 : 6 })
}
