import { describe, expect, it } from 'vitest'
import { formatClock, formatCountdown, formatDuration, formatPrecise, formatStamp, parseStamp } from './time'

const at = '2026-11-22T14:05:09.042Z'

describe('stamps', () => {
  it('writes AA.MM.JJ_HH:MM in UTC', () => expect(formatStamp(at, 'utc')).toBe('26.11.22_14:05'))
  it('writes the local clock with the offset of that day', () => {
    const offset = -new Date(at).getTimezoneOffset() * 60_000
    expect(formatStamp(at, 'local')).toBe(formatStamp(new Date(at).getTime() + offset, 'utc'))
  })
  it('writes the hour alone and to the millisecond', () => {
    expect(formatClock(at, 'utc')).toBe('14:05')
    expect(formatPrecise(at, 'utc')).toBe('14:05:09.042')
  })
  it('shows a dash for what is no instant', () => {
    expect([formatStamp(null, 'utc'), formatStamp('hier', 'utc'), formatClock('', 'utc')]).toEqual(['—', '—', '—'])
  })
})

describe('parseStamp', () => {
  it('reads back what it writes', () => expect(parseStamp('26.11.22_14:05', 'utc')).toBe('2026-11-22T14:05:00.000Z'))
  it('takes a day without an hour as midnight', () => expect(parseStamp('27.02.22', 'utc')).toBe('2027-02-22T00:00:00.000Z'))
  it.each(['26.02.30_10:00', '26.13.01', '26.11.22_25:00', 'demain', ''])('refuses %s', (text) => {
    expect(parseStamp(text, 'utc')).toBeNull()
  })
})

it.each([
  [38, '38\u00A0ms'],
  [1300, '1,3\u00A0s'],
  [42_000, '42\u00A0s'],
  [200_000, '3\u00A0min\u00A020'],
  [6_360_000, '1\u00A0h\u00A046'],
  [194_400_000, '2\u00A0j\u00A006\u00A0h'],
  [null, '—'],
])('%s ms reads %s', (ms, text) => expect(formatDuration(ms)).toBe(text))

it.each([
  [22_000, '00:22'],
  [5_078_000, '1:24:38'],
  [-5, '00:00'],
])('counts down %s ms as %s', (ms, text) => expect(formatCountdown(ms)).toBe(text))
