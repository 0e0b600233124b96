import { describe, expect, it } from 'vitest'
import type { LogFilter, LogLine } from '@/api/logs'
import { delayText, factsText, isWanted, MOST_LINES, pushed } from './logs'

const line = (id: string, over: Partial<LogLine> = {}): LogLine => ({
  id, time: '2026-11-26T10:00:00Z', level: 'info', terminal: 'ccxt_service', event: 'orders.state', message: 'Ordre exécuté', trace_id: '', matters: true, facts: {}, ...over,
})
const all: LogFilter = { terminal: '', level: 'info', matters: false, text: '', trace: '' }

describe('A line that comes', () => {
  it('is shown when every filter lets it through', () => {
    expect(isWanted(line('1'), all)).toBe(true)
    expect(isWanted(line('1'), { ...all, terminal: 'web' })).toBe(false)
    expect(isWanted(line('1', { level: 'warning' }), { ...all, level: 'warning' })).toBe(true)
    expect(isWanted(line('1'), { ...all, level: 'warning' })).toBe(false)
    expect(isWanted(line('1'), { ...all, text: 'EXÉCUTÉ' })).toBe(true)
    expect(isWanted(line('1'), { ...all, text: 'annulé' })).toBe(false)
  })

  it('belongs to a trace by its id, or by the signal that began it', () => {
    const wanted = { ...all, trace: '5m_17.bot2' }
    expect(isWanted(line('1', { trace_id: '5m_17.bot2' }), wanted)).toBe(true)
    expect(isWanted(line('1', { trace_id: '5m_17.bot3', facts: { signal_id: '5m_17' } }), wanted)).toBe(false)
    expect(isWanted(line('1', { facts: { signal_id: '5m_17' } }), wanted)).toBe(true)
    expect(isWanted(line('1', { facts: { signal_id: '5m_17' } }), { ...all, trace: 'order.1' })).toBe(false)
  })

  it('goes on top once, and the oldest leave', () => {
    const lines = pushed([line('2'), line('1')], [line('2'), line('3'), line('4')])
    expect(lines.map((one) => one.id)).toEqual(['4', '3', '2', '1'])
    const full = Array.from({ length: MOST_LINES }, (_, i) => line(`old${i}`))
    expect(pushed(full, [line('new')])).toHaveLength(MOST_LINES)
  })
})

describe('Words', () => {
  it('of a delay keep its size readable', () => {
    expect([0.42, 35, 1250, 12_340, 185_000, 7_380_000].map(delayText)).toEqual(['0,4 ms', '35 ms', '1,25 s', '12,3 s', '3 min 05', '2 h 03'])
  })

  it('of the facts leave out what is empty', () => {
    expect(factsText({ bot_id: 2, reason: '', seen: null, layers: { a: 1 }, exception: 'x' })).toBe('bot_id 2 · layers {"a":1}')
  })
})
